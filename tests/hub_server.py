"""A server like the Hugging Face hub, for tests: python hub_server.py REPOSITORIES RULES LOG

REPOSITORIES/org/name/ is a repository (REPOSITORIES/name/ one without an organisation). The hub listens on one port and
sends large files from another, the "CDN". Both ports are printed on one line of standard output. Endings in LFS are those
of large files.

RULES is a file with a JSON object, read anew at every request; it may be absent:
  "revisions": {"v1": "COMMIT"}   besides main; a commit always names itself
  "siblings": {"org/name": [...]} listed in place of the files that are there
  "api": STATUS                   answer of the API; "error_code": its X-Error-Code; "retry_after": seconds
  "file": {"config.json": STATUS} answer for a file of this name
  "passing": N                    such statuses only for the first N requests that would get one
  "cut": [n0, n1, ...]            the i-th content of the CDN ends after n_i bytes; further ones are whole
  "wrong": ["model.safetensors"]  other bytes than announced
  "stall": true                   the CDN answers and then sends nothing
  "ranges": false                 the CDN ignores Range
  "good_for": N                   an address of the CDN is refused (403) after N requests
  "token": "SECRET"               what the hub asks for
  "slow": SECONDS                 pause before a content of the CDN
  "etag": {"config.json": "..."}  in place of the right one
Of uploads:
  "create": STATUS                answer to creating a repository
  "parts": BYTES                  large files are asked for in parts of this size
  "put": STATUS                   answer of the CDN to a content; "passing" counts
  "cut_puts": N                   the first N contents are cut off by the CDN
  "signed": true                  the CDN wants the header that the hub named
  "ignored": [...]                files that .gitignore names
  "commit", "preupload", "batch": in place of the right answer; "actions": of that of a large file

Each line of LOG is a JSON object: the server (hub or cdn), the method, the path, the Range and whether a token came.
"""

import base64
import hashlib
import json
import pathlib
import sys
import threading
import time
import urllib.parse
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

LFS = (".safetensors", ".bin", ".onnx", ".h5")
COMMIT = "0123456789abcdef0123456789abcdef01234567"

repositories, rules_file, log_file = (pathlib.Path(a) for a in sys.argv[1:4])
lock = threading.Lock()
counts = {"cut": 0, "passing": 0, "signed": 0, "put": 0}
uses = {}  # of each address of the CDN
received = {}  # by hash: the content of a large file, or its parts by number
verified = set()  # hashes


def rules():
    return (rules_file.exists() and json.loads(rules_file.read_text())) or {}


def etag_of(data: bytes, is_lfs: bool) -> str:
    return hashlib.sha256(data).hexdigest() if is_lfs else hashlib.sha1(b"blob %d\0" % len(data) + data).hexdigest()


def may_fail() -> bool:
    with lock:
        counts["passing"] += 1
        return counts["passing"] <= rules().get("passing", 1 << 30)


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_name = ""

    def log_message(self, *_):
        with lock, log_file.open("a") as log:
            log.write(json.dumps({"server": self.server_name, "method": self.command, "path": self.path,
                                  "range": self.headers.get("Range"),
                                  "token": self.headers.get("Authorization")}) + "\n")

    def answer(self, status: int, body: bytes = b"", **headers):
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), str(value))
        if "Content_Length" not in headers:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def body(self) -> bytes:
        return self.rfile.read(int(self.headers.get("Content-Length", 0)))

    def tell_json(self, value, status: int = 200):
        self.answer(status, json.dumps(value).encode(), Content_Type="application/json")

    def fail(self, status: int, code: str = ""):
        headers = {"X_Error_Code": code} if code else {}
        if "retry_after" in rules():
            headers["Retry_After"] = rules()["retry_after"]
        self.answer(status, b"no", **headers)


class Hub(Handler):
    server_name = "hub"

    def may_come(self, rule) -> bool:
        return "token" not in rule or self.headers.get("Authorization") == "Bearer " + rule["token"]

    def do_GET(self):
        rule = rules()
        if not self.may_come(rule):
            return self.fail(401, "RepoNotFound")
        if self.path == "/api/whoami-v2":
            return self.tell_json({"name": "user"})
        parts = [urllib.parse.unquote(p) for p in self.path.lstrip("/").split("/")]
        if parts[:2] == ["api", "models"] and "revision" not in parts:
            return self.tell_json({}, 200 if (repositories / "/".join(parts[2:])).is_dir() else 404)
        if parts[:2] == ["api", "models"]:
            at = parts.index("revision")
            return self.tell("/".join(parts[2:at]), parts[at + 1], rule)
        at = parts.index("resolve")
        commit = self.commit_of(parts[at + 1], rule)
        return self.give("/".join(parts[:at]), commit, "/".join(parts[at + 2:]), rule)

    do_HEAD = do_GET

    def commit_of(self, revision: str, rule) -> str | None:
        commits = {"main": COMMIT, **rule.get("revisions", {})}
        return commits.get(revision, revision if revision in commits.values() else None)

    def tell(self, repo: str, revision: str, rule):
        if "api" in rule and may_fail():
            return self.fail(rule["api"], rule.get("error_code", ""))
        folder = repositories / repo
        if not folder.is_dir():
            return self.fail(401, "RepoNotFound")
        commit = self.commit_of(revision, rule)
        if commit is None:
            return self.fail(404, "RevisionNotFound")
        found = sorted(f.relative_to(folder).as_posix() for f in folder.rglob("*") if f.is_file())
        files = rule.get("siblings", {}).get(repo, found)
        body = json.dumps({"id": repo, "sha": commit, "siblings": [{"rfilename": f} for f in files]}).encode()
        self.answer(200, body, Content_Type="application/json")

    def give(self, repo: str, commit: str, name: str, rule):
        file = repositories / repo / name
        status = rule.get("file", {}).get(name)
        if status is not None and may_fail():
            return self.fail(status, rule.get("error_code", ""))
        if not file.is_file():
            return self.fail(404, "EntryNotFound")
        data = file.read_bytes()
        is_lfs = name.endswith(LFS)
        etag = rule.get("etag", {}).get(name, etag_of(data, is_lfs))
        if is_lfs:
            with lock:
                counts["signed"] += 1
            cdn = f"http://127.0.0.1:{cdn_port}/{urllib.parse.quote(repo + '/' + name)}?signed={counts['signed']}"
            return self.answer(302, Location=cdn, ETag='"none"', X_Linked_ETag=f'"{etag}"', X_Linked_Size=len(data),
                               X_Repo_Commit=commit)
        if name in rule.get("wrong", []):
            data = bytes(len(data))
        self.answer(200, data, ETag=f'"{etag}"', X_Repo_Commit=commit, Content_Length=len(data))


    def do_POST(self):
        rule, body = rules(), self.body()
        if not self.may_come(rule):
            return self.tell_json({"error": "Invalid username or password."}, 401)
        path = urllib.parse.unquote(self.path)
        if path == "/api/repos/create":
            return self.create(json.loads(body), rule)
        if path.endswith("/preupload/main") and "preupload" in rule:
            return self.tell_json(rule["preupload"])
        if path.endswith("/objects/batch") and "batch" in rule:
            return self.tell_json(rule["batch"])
        if path.endswith("/preupload/main"):
            return self.tell_json({"files": [
                {"path": f["path"], "shouldIgnore": f["path"] in rule.get("ignored", []),
                 "uploadMode": "lfs" if f["path"].endswith(LFS) else "regular"} for f in json.loads(body)["files"]]})
        if path.endswith("/objects/batch"):
            return self.tell_json({"objects": [self.action(o, rule) for o in json.loads(body)["objects"]]})
        if path.endswith("/objects/verify"):
            return self.verify(json.loads(body))
        if path.endswith("/commit/main"):
            return self.commit(path.removeprefix("/api/models/").removesuffix("/commit/main"), body, rule)
        self.fail(404)

    def create(self, asked, rule):
        if "create" in rule:
            return self.tell_json({"error": "You don't have the rights to create a model under this namespace"},
                                  rule["create"])
        folder = repositories / asked["organization"] / asked["name"]
        status = 409 if folder.is_dir() else 200
        folder.mkdir(parents=True, exist_ok=True)
        self.tell_json({"url": f"/{asked['organization']}/{asked['name']}"}, status)

    def action(self, asked, rule):
        oid, size = asked["oid"], asked["size"]
        if oid in verified:
            return {"oid": oid, "size": size}
        upload = {"href": f"http://127.0.0.1:{cdn_port}/upload/{oid}", "header": {"X-Signed": "yes"}}
        if "parts" in rule:
            count = -(-size // rule["parts"])
            upload["href"] += "/complete"
            upload["header"] = {"chunk_size": str(rule["parts"])} | {
                f"{i + 1:05}": f"http://127.0.0.1:{cdn_port}/upload/{oid}/{i + 1}" for i in range(count)}
        host = self.headers["Host"]
        actions = {"upload": upload, "verify": {"href": f"http://{host}/objects/verify"}}
        return {"oid": oid, "size": size, "actions": rule.get("actions", actions)}

    def verify(self, asked):
        data = received.get(asked["oid"])
        if not isinstance(data, bytes) or hashlib.sha256(data).hexdigest() != asked["oid"] or len(data) != asked["size"]:
            return self.tell_json({"error": "other bytes than announced"}, 422)
        verified.add(asked["oid"])
        self.tell_json({})

    def commit(self, repo: str, body: bytes, rule):
        lines = [json.loads(line) for line in body.splitlines()]
        assert lines[0]["key"] == "header" and lines[0]["value"]["summary"]
        for line in lines[1:]:
            value = line["value"]
            file = repositories / repo / value["path"]
            file.parent.mkdir(parents=True, exist_ok=True)
            if line["key"] == "lfsFile":
                if value["oid"] not in verified or len(received[value["oid"]]) != value["size"]:
                    return self.tell_json({"error": "a large file was not uploaded"}, 400)
                file.write_bytes(received[value["oid"]])
            else:
                file.write_bytes(base64.b64decode(value["content"], validate=True))
        self.tell_json(rule.get("commit", {
            "commitOid": COMMIT, "commitUrl": f"http://{self.headers['Host']}/{repo}/commit/{COMMIT}"}))


class Cdn(Handler):
    server_name = "cdn"

    def do_PUT(self):
        rule = rules()
        if rule.get("cut_puts", 0) > counts["put"]:
            counts["put"] += 1
            self.rfile.read(min(1000, int(self.headers["Content-Length"])))
            self.close_connection = True
            return self.connection.close()
        body = self.body()
        if "put" in rule and may_fail():
            return self.fail(rule["put"])
        _, _, oid, *number = self.path.split("/")
        if number:
            received.setdefault(oid, {})[int(number[0])] = body
        else:
            if rule.get("signed") and self.headers.get("X-Signed") != "yes":
                return self.fail(403)
            received[oid] = body
        self.answer(200, b"", ETag=f'"{hashlib.md5(body).hexdigest()}"')

    def do_POST(self):
        asked = json.loads(self.body())
        parts = received[asked["oid"]]
        tags = [f'"{hashlib.md5(parts[p["partNumber"]]).hexdigest()}"' for p in asked["parts"]]
        if tags != [p["etag"] for p in asked["parts"]] or len(parts) != len(tags):
            return self.tell_json({"error": "parts are missing"}, 400)
        received[asked["oid"]] = b"".join(parts[i + 1] for i in range(len(parts)))
        self.tell_json({})

    def do_GET(self):
        rule = rules()
        name = urllib.parse.unquote(urllib.parse.urlsplit(self.path).path.lstrip("/"))
        with lock:
            uses[self.path] = uses.get(self.path, 0) + 1
        if uses[self.path] > rule.get("good_for", 1 << 30):
            return self.fail(403)
        data = (repositories / name).read_bytes()
        if pathlib.PurePath(name).name in rule.get("wrong", []):
            data = data[:-1] + bytes([data[-1] ^ 1])
        begin, end, status = 0, len(data), 200
        asked = self.headers.get("Range")
        if asked and rule.get("ranges", True):
            first, last = asked.removeprefix("bytes=").split("-")
            begin, end, status = int(first), min(int(last or len(data)) + 1, len(data)), 206
        time.sleep(rule.get("slow", 0))
        with lock:
            cuts = rule.get("cut", [])
            cut = cuts[counts["cut"]] if counts["cut"] < len(cuts) else None
            counts["cut"] += 1
        headers = {"Content_Length": end - begin, "Accept_Ranges": "bytes"}
        if status == 206:
            headers["Content_Range"] = f"bytes {begin}-{end - 1}/{len(data)}"
        body = data[begin:end]
        if rule.get("stall"):
            self.answer(status, b"", **headers)
            self.wfile.flush()
            time.sleep(30)
        elif cut is not None and cut < len(body):
            self.answer(status, body[:cut], **headers)
            self.wfile.flush()
            self.close_connection = True
        else:
            self.answer(status, body, **headers)


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address):  # a client that goes away is no event
        pass


cdn = Server(("127.0.0.1", 0), Cdn)
hub = Server(("127.0.0.1", 0), Hub)
cdn_port = cdn.server_address[1]
threading.Thread(target=cdn.serve_forever, daemon=True).start()
print(hub.server_address[1], cdn_port, flush=True)
threading.Thread(target=hub.serve_forever, daemon=True).start()
sys.stdin.read()  # until the test ends
