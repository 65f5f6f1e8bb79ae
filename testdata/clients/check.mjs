// What the official JavaScript client makes of the server that KUBECONFIG names. Prints `ok`, or fails.
import assert from 'node:assert/strict';
import { createRequire } from 'node:module';
import { setTimeout as sleep } from 'node:timers/promises';

const k8s = createRequire(process.env.CLIENT_ROOT + '/')('@kubernetes/client-node');
const config = new k8s.KubeConfig();
config.loadFromDefault();
const core = config.makeApiClient(k8s.CoreV1Api);
const apps = config.makeApiClient(k8s.AppsV1Api);
const custom = config.makeApiClient(k8s.CustomObjectsApi);
const extensions = config.makeApiClient(k8s.ApiextensionsV1Api);
const namespace = 'javascript';

async function refused(code, call) {
    await assert.rejects(call, (error) => error.code === code);
}

async function until(what, holds) {
    for (let attempt = 0; attempt < 100; attempt++) {
        if (holds()) return;
        await sleep(100);
    }
    assert.fail(what);
}

async function objects() {
    await core.createNamespace({ body: { metadata: { name: namespace } } });
    const made = await core.createNamespacedConfigMap({ namespace, body: { metadata: { name: 'one' }, data: { k: 'v' } } });
    assert.ok(made.metadata.uid && made.metadata.creationTimestamp instanceof Date);
    await refused(409, () => core.createNamespacedConfigMap({ namespace, body: { metadata: { name: 'one' } } }));
    await refused(404, () => core.readNamespacedConfigMap({ namespace, name: 'none' }));
    const patched = await core.patchNamespacedConfigMap(
        { namespace, name: 'one', body: [{ op: 'replace', path: '/data/k', value: 'w' }] },
        k8s.setHeaderOptions('Content-Type', k8s.PatchStrategy.JsonPatch),
    );
    assert.deepEqual(patched.data, { k: 'w' });
    const merged = await core.patchNamespacedConfigMap(
        { namespace, name: 'one', body: { data: { k: null, l: 'x' } } },
        k8s.setHeaderOptions('Content-Type', k8s.PatchStrategy.MergePatch),
    );
    assert.deepEqual(merged.data, { l: 'x' });
    const applied = await core.patchNamespacedConfigMap(
        { namespace, name: 'two', fieldManager: 'js', body: { apiVersion: 'v1', kind: 'ConfigMap', metadata: { name: 'two' }, data: { a: 'b' } } },
        k8s.setHeaderOptions('Content-Type', k8s.PatchStrategy.ServerSideApply),
    );
    assert.equal(applied.metadata.managedFields[0].operation, 'Apply');
    const list = await core.listNamespacedConfigMap({ namespace, fieldSelector: 'metadata.name=two' });
    assert.deepEqual(list.items.map((item) => item.metadata.name), ['two']);
    await core.deleteNamespacedConfigMap({ namespace, name: 'one' });
}

async function workloads() {
    const labels = { app: 'web' };
    const spec = { replicas: 1, selector: { matchLabels: labels }, template: { metadata: { labels }, spec: { containers: [{ name: 'main', image: 'nginx' }] } } };
    const made = await apps.createNamespacedDeployment({ namespace, body: { metadata: { name: 'web' }, spec } });
    assert.equal(made.spec.revisionHistoryLimit, 10);
    const scale = await apps.readNamespacedDeploymentScale({ namespace, name: 'web' });
    scale.spec.replicas = 3;
    assert.equal((await apps.replaceNamespacedDeploymentScale({ namespace, name: 'web', body: scale })).spec.replicas, 3);
}

async function informers() {
    const seen = [];
    const list = () => core.listNamespacedSecret({ namespace });
    const informer = k8s.makeInformer(config, `/api/v1/namespaces/${namespace}/secrets`, list);
    for (const event of ['add', 'update', 'delete']) informer.on(event, (object) => seen.push(`${event} ${object.metadata.name}`));
    informer.on('error', (error) => seen.push(`error ${error}`));
    await core.createNamespacedSecret({ namespace, body: { metadata: { name: 'first' } } });
    await informer.start();
    await until('the list', () => seen.includes('add first'));
    await core.createNamespacedSecret({ namespace, body: { metadata: { name: 'second' } } });
    await until('an addition', () => seen.includes('add second'));
    await core.patchNamespacedSecret(
        { namespace, name: 'second', body: { metadata: { labels: { x: 'y' } } } },
        k8s.setHeaderOptions('Content-Type', k8s.PatchStrategy.StrategicMergePatch),
    );
    await until('an update', () => seen.includes('update second'));
    await core.deleteNamespacedSecret({ namespace, name: 'first' });
    await until('a deletion', () => seen.includes('delete first'));
    assert.ok(!seen.some((line) => line.startsWith('error')), seen.join());
    await informer.stop();
}

async function definitions() {
    const schema = { openAPIV3Schema: { type: 'object', properties: { spec: { type: 'object', properties: { size: { type: 'integer' } } } } } };
    await extensions.createCustomResourceDefinition({ body: {
        metadata: { name: 'gizmos.js.example' },
        spec: { group: 'js.example', scope: 'Namespaced', names: { plural: 'gizmos', singular: 'gizmo', kind: 'Gizmo' }, versions: [{ name: 'v1', served: true, storage: true, schema }] },
    } });
    const at = { group: 'js.example', version: 'v1', namespace, plural: 'gizmos' };
    const made = await custom.createNamespacedCustomObject({ ...at, body: { apiVersion: 'js.example/v1', kind: 'Gizmo', metadata: { name: 'g' }, spec: { size: 1 } } });
    assert.equal(made.metadata.generation, 1);
    await refused(422, () => custom.createNamespacedCustomObject({ ...at, body: { apiVersion: 'js.example/v1', kind: 'Gizmo', metadata: { name: 'h' }, spec: { size: 'x' } } }));
    const generic = k8s.KubernetesObjectApi.makeApiClient(config);
    const read = await generic.read({ apiVersion: 'js.example/v1', kind: 'Gizmo', metadata: { name: 'g', namespace } });
    assert.equal(read.spec.size, 1);
}

async function health() {
    const health = new k8s.Health(config);
    assert.ok((await health.readyz({})) && (await health.livez({})));
    await core.createNode({ body: { metadata: { name: 'n' }, status: { capacity: { cpu: '4', memory: '8Gi' } } } });
    const [node] = await k8s.topNodes(core);
    assert.equal(node.Node.metadata.name, 'n');
    assert.equal(Number(node.CPU.Capacity), 4);
    await core.deleteNode({ name: 'n' });
}

for (const check of [objects, workloads, informers, definitions, health]) await check();
console.log('ok');
process.exit(0);
