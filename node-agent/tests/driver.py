"""A driver on gRPC's own library, in the shortest way: messages by hand, devices from the claim's status.

Environment, as dra-example-driver has it: NODE_NAME, CDI_ROOT, KUBELET_REGISTRAR_DIRECTORY_PATH,
KUBELET_PLUGINS_DIRECTORY_PATH; API_SERVER is the URL of the API server, DRIVER_NAME its own name.
"""

import json
import os
import sys
import urllib.request
from concurrent import futures

import grpc

NODE, NAME, API = os.environ["NODE_NAME"], os.environ["DRIVER_NAME"], os.environ["API_SERVER"]
CDI = os.environ["CDI_ROOT"]
DATA = os.path.join(os.environ["KUBELET_PLUGINS_DIRECTORY_PATH"], NAME)
REGISTRY = os.environ["KUBELET_REGISTRAR_DIRECTORY_PATH"]


def varint(number):
    out = b""
    while number > 0x7F:
        out, number = out + bytes([number & 0x7F | 0x80]), number >> 7
    return out + bytes([number])


def field(number, content):
    content = content.encode() if isinstance(content, str) else content
    return varint(number << 3 | 2) + varint(len(content)) + content


def fields(message):
    """Fields that have a length, which is all that requests consist of; numbers are left out."""
    at, found = 0, []

    def number():
        nonlocal at
        value = shift = 0
        while True:
            byte = message[at]
            value, at, shift = value | (byte & 0x7F) << shift, at + 1, shift + 7
            if byte < 0x80:
                return value

    while at < len(message):
        key = number()
        length = number()
        if key & 7 == 2:
            found.append((key >> 3, message[at : at + length]))
            at += length
    return found


def get(path, body=None):
    data = json.dumps(body).encode() if body else None
    request = urllib.request.Request(API + path, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


def get_info(_request, _context):
    endpoint = os.path.join(DATA, "dra.sock")
    return field(1, "DRAPlugin") + field(2, NAME) + field(3, endpoint) + field(4, "v1.DRAPlugin")


def notify(request, _context):
    print("registered" if request == b"\x08\x01" else f"not registered: {request}", flush=True)
    return b""


def claims(request):
    for _, claim in fields(request):
        parts = dict(fields(claim))
        yield parts[1].decode(), parts[2].decode(), parts[3].decode()


def prepare(request, _context):
    answer = b""
    for namespace, uid, name in claims(request):
        claim = get(f"/apis/resource.k8s.io/v1/namespaces/{namespace}/resourceclaims/{name}")
        devices, specs = b"", []
        for result in claim["status"]["allocation"]["devices"]["results"]:
            device = f"{uid}-{result['device']}"
            edits = {"env": [f"PYTHON_DEVICE={result['device']}"]}
            specs.append({"name": device, "containerEdits": edits})
            one = field(1, result["request"]) + field(2, result["pool"]) + field(3, result["device"])
            devices += field(1, one + field(4, f"{NAME}/thing={device}"))
        os.makedirs(CDI, exist_ok=True)
        with open(os.path.join(CDI, f"{NAME}-{uid}.json"), "w", encoding="utf-8") as file:
            json.dump({"cdiVersion": "0.5.0", "kind": f"{NAME}/thing", "devices": specs}, file)
        answer += field(1, field(1, uid) + field(2, devices))
    return answer


def unprepare(request, _context):
    answer = b""
    for _, uid, _ in claims(request):
        os.remove(os.path.join(CDI, f"{NAME}-{uid}.json"))
        print("unprepared", flush=True)
        answer += field(1, field(1, uid) + field(2, b""))
    return answer


def serve(path, service, methods):
    if os.path.exists(path):
        os.remove(path)
    server = grpc.server(futures.ThreadPoolExecutor(4))
    handlers = {name: grpc.unary_unary_rpc_method_handler(function) for name, function in methods.items()}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
    server.add_insecure_port(f"unix:{path}")
    server.start()
    return server


os.makedirs(DATA, exist_ok=True)
pool = {"name": NODE, "generation": 1, "resourceSliceCount": 1}
spec = {"driver": NAME, "nodeName": NODE, "pool": pool, "devices": [{"name": "p0"}]}
meta = {"generateName": f"00000-{NAME}-{NODE}-"}
servers = [
    serve(os.path.join(DATA, "dra.sock"), "k8s.io.kubelet.pkg.apis.dra.v1.DRAPlugin",
          {"NodePrepareResources": prepare, "NodeUnprepareResources": unprepare}),
    serve(os.path.join(REGISTRY, f"{NAME}-reg.sock"), "pluginregistration.Registration",
          {"GetInfo": get_info, "NotifyRegistrationStatus": notify}),
]
get("/apis/resource.k8s.io/v1/resourceslices",
    {"apiVersion": "resource.k8s.io/v1", "kind": "ResourceSlice", "metadata": meta, "spec": spec})
sys.stdin.read()
