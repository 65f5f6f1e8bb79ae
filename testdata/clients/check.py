"""What the official Python client makes of the server that KUBECONFIG names. Prints `ok`, or fails."""

import base64
import threading
import uuid

from kubernetes import client, config, dynamic, watch
from kubernetes.client.rest import ApiException
from kubernetes.leaderelection import electionconfig, leaderelection
from kubernetes.leaderelection.resourcelock.configmaplock import ConfigMapLock

config.load_kube_config()
NAMESPACE = "python"
core, apps = client.CoreV1Api(), client.AppsV1Api()
custom, extensions = client.CustomObjectsApi(), client.ApiextensionsV1Api()


def refused(status, reason, call, *arguments, **options):
    try:
        call(*arguments, **options)
    except ApiException as error:
        assert (error.status, error.reason) == (status, reason), error
        return error
    raise AssertionError(f"{call.__name__} was not refused")


def metadata(name, **more):
    return client.V1ObjectMeta(name=name, **more)


def objects():
    core.create_namespace(client.V1Namespace(metadata=metadata(NAMESPACE)))
    made = core.create_namespaced_config_map(
        NAMESPACE, client.V1ConfigMap(metadata=metadata("one", labels={"a": "b"}), data={"k": "v"})
    )
    assert made.metadata.uid and made.metadata.creation_timestamp.tzinfo
    refused(409, "Conflict", core.create_namespaced_config_map, NAMESPACE, made.to_dict() | {"metadata": {"name": "one"}})
    refused(404, "Not Found", core.read_namespaced_config_map, "none", NAMESPACE)
    secret = core.create_namespaced_secret(
        NAMESPACE, client.V1Secret(metadata=metadata("s"), string_data={"password": "x"})
    )
    assert base64.b64decode(secret.data["password"]) == b"x" and secret.type == "Opaque"
    found = core.list_namespaced_config_map(NAMESPACE, label_selector="a in (b), !z")
    assert [item.metadata.name for item in found.items] == ["one"]
    # A dict is a strategic merge patch, a list a JSON patch.
    patched = core.patch_namespaced_config_map("one", NAMESPACE, {"data": {"k": None, "l": "w"}})
    assert patched.data == {"l": "w"}
    patched = core.patch_namespaced_config_map("one", NAMESPACE, [{"op": "add", "path": "/data/m", "value": "x"}])
    assert patched.data == {"l": "w", "m": "x"}
    stale = made
    stale.data = {"n": "o"}
    refused(409, "Conflict", core.replace_namespaced_config_map, "one", NAMESPACE, stale)
    fresh = core.read_namespaced_config_map("one", NAMESPACE)
    fresh.data = {"n": "o"}
    assert core.replace_namespaced_config_map("one", NAMESPACE, fresh).data == {"n": "o"}
    assert core.delete_namespaced_config_map("one", NAMESPACE).status == "Success"


def workloads():
    template = client.V1PodTemplateSpec(
        metadata=client.V1ObjectMeta(labels={"app": "web"}),
        spec=client.V1PodSpec(containers=[client.V1Container(name="main", image="nginx")]),
    )
    spec = client.V1DeploymentSpec(
        selector=client.V1LabelSelector(match_labels={"app": "web"}), template=template, replicas=2
    )
    made = apps.create_namespaced_deployment(NAMESPACE, client.V1Deployment(metadata=metadata("web"), spec=spec))
    assert made.spec.strategy.rolling_update.max_surge == "25%"
    image = {"spec": {"template": {"spec": {"containers": [{"name": "main", "image": "nginx:2"}]}}}}
    patched = apps.patch_namespaced_deployment("web", NAMESPACE, image)
    assert [container.image for container in patched.spec.template.spec.containers] == ["nginx:2"]
    scale = apps.patch_namespaced_deployment_scale("web", NAMESPACE, {"spec": {"replicas": 5}})
    assert scale.spec.replicas == 5
    error = refused(422, "Unprocessable Entity", apps.patch_namespaced_deployment_scale, "web", NAMESPACE, {"spec": {"replicas": -1}})
    assert "must be greater than or equal to 0" in error.body
    apps.delete_namespaced_deployment("web", NAMESPACE, propagation_policy="Foreground")


def watches():
    version = core.list_namespaced_secret(NAMESPACE).metadata.resource_version
    core.create_namespaced_secret(NAMESPACE, client.V1Secret(metadata=metadata("watched")))
    core.patch_namespaced_secret("watched", NAMESPACE, {"metadata": {"labels": {"x": "y"}}})
    core.delete_namespaced_secret("watched", NAMESPACE)
    stream = watch.Watch().stream(core.list_namespaced_secret, NAMESPACE, resource_version=version, timeout_seconds=5)
    seen = []
    for event in stream:
        seen.append((event["type"], event["object"].metadata.name))
        if event["type"] == "DELETED":
            break
    assert seen == [(kind, "watched") for kind in ("ADDED", "MODIFIED", "DELETED")], seen


def pages():
    for number in range(7):
        core.create_namespaced_service_account(NAMESPACE, client.V1ServiceAccount(metadata=metadata(f"page-{number}")))
    names, token = [], None
    while True:
        page = core.list_namespaced_service_account(NAMESPACE, limit=3, _continue=token)
        names += [item.metadata.name for item in page.items if item.metadata.name.startswith("page-")]
        token = page.metadata._continue
        if not token:
            break
    assert names == [f"page-{number}" for number in range(7)], names


def definitions():
    schema = {"type": "object", "properties": {"spec": {"type": "object", "properties": {"size": {"type": "integer", "minimum": 1}}}}}
    version = {"name": "v1", "served": True, "storage": True, "schema": {"openAPIV3Schema": schema}}
    extensions.create_custom_resource_definition({
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": "gadgets.py.example"},
        "spec": {
            "group": "py.example", "scope": "Namespaced", "versions": [version],
            "names": {"plural": "gadgets", "singular": "gadget", "kind": "Gadget", "shortNames": ["gd"]},
        },
    })
    gadget = {"apiVersion": "py.example/v1", "kind": "Gadget", "metadata": {"name": "g"}, "spec": {"size": 3}}
    made = custom.create_namespaced_custom_object("py.example", "v1", NAMESPACE, "gadgets", gadget)
    assert made["metadata"]["generation"] == 1
    bad = gadget | {"metadata": {"name": "bad"}, "spec": {"size": 0}}
    refused(422, "Unprocessable Entity", custom.create_namespaced_custom_object, "py.example", "v1", NAMESPACE, "gadgets", bad)


def dynamically():
    finder = dynamic.DynamicClient(client.ApiClient())
    gadgets = finder.resources.get(api_version="py.example/v1", kind="Gadget")
    assert gadgets.get(name="g", namespace=NAMESPACE).spec.size == 3
    patched = gadgets.patch(
        body={"spec": {"size": 4}}, name="g", namespace=NAMESPACE, content_type="application/merge-patch+json"
    )
    assert patched.spec.size == 4
    applied = gadgets.server_side_apply(
        body={"apiVersion": "py.example/v1", "kind": "Gadget", "metadata": {"name": "applied"}, "spec": {"size": 9}},
        name="applied", namespace=NAMESPACE, field_manager="python", force_conflicts=True,
    )
    assert applied.metadata.managedFields[0].manager == "python"
    deployments = finder.resources.get(api_version="apps/v1", kind="Deployment")
    assert deployments.namespaced and "deploy" in deployments.short_names
    nodes = finder.resources.get(api_version="v1", kind="Node")
    assert not nodes.namespaced


def election():
    led = threading.Event()
    lock = ConfigMapLock("leader", NAMESPACE, str(uuid.uuid4()))
    settings = electionconfig.Config(
        lock, lease_duration=3, renew_deadline=2, retry_period=1, onstarted_leading=led.set, onstopped_leading=None
    )
    threading.Thread(target=leaderelection.LeaderElection(settings).run, daemon=True).start()
    assert led.wait(10), "nobody leads"
    held = core.read_namespaced_config_map("leader", NAMESPACE)
    assert "control-plane.alpha.kubernetes.io/leader" in held.metadata.annotations


def access():
    review = client.V1SelfSubjectAccessReview(
        spec=client.V1SelfSubjectAccessReviewSpec(resource_attributes=client.V1ResourceAttributes(verb="get", resource="pods"))
    )
    assert client.AuthorizationV1Api().create_self_subject_access_review(review).status.allowed
    assert client.VersionApi().get_code().major == "1"
    lease = client.V1Lease(metadata=metadata("l"), spec=client.V1LeaseSpec(holder_identity="me"))
    made = client.CoordinationV1Api().create_namespaced_lease(NAMESPACE, lease)
    assert made.spec.holder_identity == "me"


for check in (objects, workloads, watches, pages, definitions, dynamically, election, access):
    check()
print("ok")
