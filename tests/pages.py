"""Programs that stand for what a browser does at a session; each prints JSON, `tests/cell.py` is beside them."""

DEBUG = """
import json, cell, websocket
from urllib.parse import parse_qs, urlsplit
parts = urlsplit(sys.argv[1])
base, [token] = f"{parts.netloc}{parts.path.rsplit('/', 1)[0]}", parse_qs(parts.query)["token"]
kernel = cell._request("POST", f"http://{base}/api/kernels", token, {"name": "python3"})["id"]
channel = websocket.create_connection(f"ws://{base}/api/kernels/{kernel}/channels", timeout=60,
                                      header=[f"Authorization: token {token}"])
told = {}
asked = [("kernel_info_request", "shell", {}),
         ("debug_request", "control", {"type": "request", "seq": 1, "command": "initialize", "arguments": {}})]
for kind, name, content in asked:
    message = cell._message("")
    message["header"]["msg_type"] = kind
    channel.send(json.dumps({**message, "channel": name, "content": content}))
while len(told) < 2:
    answer = json.loads(channel.recv())
    if answer["msg_type"] == "kernel_info_reply":
        told["debugger"] = "debugger" in answer["content"].get("supported_features", [])
    elif answer["msg_type"] == "debug_reply":
        told["reply"] = answer["content"] or {}
channel.close()
cell._request("DELETE", f"http://{base}/api/kernels/{kernel}", token)
print(json.dumps(told))
"""
JAR = """
import http.client, http.cookiejar, json, urllib.error, urllib.parse, urllib.request
jar = http.cookiejar.CookieJar()
opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor(jar))
def ask(url, data=None, **headers):
    try:
        with opener.open(urllib.request.Request(url, data, headers), timeout=30) as answer:
            return answer.status
    except urllib.error.HTTPError as error:
        return error.code
def xsrf(base):
    path = urllib.parse.urlsplit(base).path + "/"
    return next(each.value for each in jar if each.name == "_xsrf" and each.path == path)
def log_in(base, password):
    ask(f"{base}/login")
    return ask(f"{base}/login", urllib.parse.urlencode({"password": password, "_xsrf": xsrf(base)}).encode())
"""
LOG_IN = JAR + "print(json.dumps([log_in(sys.argv[1], sys.argv[2]) for _ in range(20)]))"
COOKIES = JAR + """
log_in(sys.argv[1], sys.argv[2])
cookies = [{"name": each.name, "path": each.path, "http_only": each.has_nonstandard_attr("HttpOnly")} for each in jar]
print(json.dumps([ask(f"{sys.argv[1]}/api/status"), cookies]))
"""
TWO_IN_A_JAR = JAR + """
one, two, password = sys.argv[1:]
print(json.dumps([*(log_in(base, password) and ask(f"{base}/api/status") for base in (one, two)),
                  *(ask(f"{base}/api/status") for base in (one, two))]))
"""
CROSS_ORIGIN = JAR + """
base = sys.argv[1]
log_in(base, sys.argv[2])
parts = urllib.parse.urlsplit(base)
cookie = "; ".join(f"{each.name}={each.value}" for each in jar)
def web_socket(origin):
    asked = http.client.HTTPConnection(parts.netloc, timeout=20)
    asked.request("GET", f"{parts.path}/api/events/subscribe", headers={
        "Connection": "Upgrade", "Upgrade": "websocket", "Sec-WebSocket-Version": "13", "Cookie": cookie,
        "Sec-WebSocket-Key": "AAAAAAAAAAAAAAAAAAAAAA==", "Origin": origin})
    return asked.getresponse().status
print(json.dumps({"ours": web_socket(f"http://{parts.netloc}"), "evil socket": web_socket("http://evil.example"),
                  "evil page": ask(f"{base}/api/status", Origin="http://evil.example"),
                  "no xsrf": ask(f"{base}/api/sessions", b"{}")}))
"""
PAGE = """
import json, re, urllib.request
page = urllib.request.urlopen(sys.argv[1], timeout=30).read().decode()
print(re.search(r'<script id="jupyter-config-data" type="application/json">(.*?)</script>', page, re.DOTALL)[1])
"""
