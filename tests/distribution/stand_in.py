"""A small model hub on this machine: the part of the hub's HTTP interface that perpixel uses.

Repositories, commits and files live in memory. A repository whose name begins with "private" is for
those with the token alone.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
import threading
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

import yaml

TOKEN, OWNER = "hf_stand_in", "somebody"
Files = dict[str, bytes]


@dataclass
class Repository:
    """Commits, oldest first, by their hashes; branches and tags point at them."""

    private: bool
    commits: dict[str, Files] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)

    def commit(self, files: Files) -> str:
        """A commit on main on top of its last one."""
        before = self.commits.get(self.refs.get("main", ""), {})
        made = hashlib.sha1(f"{len(self.commits)}{sorted(files)}".encode()).hexdigest()
        self.commits[made] = {**before, **files}
        self.refs["main"] = made
        return made


class StandIn(ThreadingHTTPServer):
    """The hub.

    Attributes:
        repositories: by "owner/name".
        spoiled: files that arrive with a byte changed.
        down: every answer is "503 Service Unavailable".
        asked: "METHOD path" of each request.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.repositories: dict[str, Repository] = {}
        self.objects: dict[str, bytes] = {}
        self.spoiled: set[str] = set()
        self.down = False
        self.asked: list[str] = []
        self.thread = threading.Thread(target=self.serve_forever, args=(0.01,))
        self.thread.start()

    @property
    def url(self) -> str:
        """What HF_ENDPOINT is set to."""
        return f"http://127.0.0.1:{self.server_address[1]}"

    def stop(self) -> None:
        """Hear nothing any more."""
        self.shutdown()
        self.server_close()
        self.thread.join()


class _Handler(BaseHTTPRequestHandler):
    server: StandIn
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: Any) -> None:
        pass

    def do_HEAD(self) -> None:
        self._answer()

    def do_GET(self) -> None:
        self._answer()

    def do_POST(self) -> None:
        self._answer()

    def do_PUT(self) -> None:
        self._answer()

    @property
    def _known(self) -> bool:
        return self.headers.get("authorization") == f"Bearer {TOKEN}"

    def _answer(self) -> None:
        path = unquote(urlsplit(self.path).path)
        body = self.rfile.read(int(self.headers.get("content-length", 0)))
        self.server.asked.append(f"{self.command} {path}")
        if self.server.down:
            return self._error(503, "", "out of order")
        match path.strip("/").split("/"):
            case ["api", "whoami-v2"]:
                if not self._known:
                    return self._error(401, "", "Invalid username or password.")
                return self._json({"name": OWNER, "type": "user", "orgs": []})
            case ["api", "repos", "create"]:
                return self._create(json.loads(body))
            case ["api", "validate-yaml"]:
                return self._judge(json.loads(body)["content"])
            case ["objects", oid] if self.command == "PUT":
                self.server.objects[oid] = body
                return self._send(200, b"")
            case ["api", "models", owner, name, *rest]:
                repository = self._visible(f"{owner}/{name}")
                return repository and self._api(repository, f"{owner}/{name}", rest, body)
            case [owner, name, "info", "lfs", "objects", "batch"]:
                repository = self._visible(f"{owner}/{name.removesuffix('.git')}")
                return repository and self._large(json.loads(body))
            case [owner, name, "resolve", revision, *file]:
                repository = self._visible(f"{owner}/{name}")
                return repository and self._resolve(repository, revision, "/".join(file))
        return self._error(404, "", f"no such page: {path}")

    def _visible(self, name: str) -> Repository | None:
        repository = self.server.repositories.get(name)
        if repository is None or (repository.private and not self._known):
            # The hub tells a stranger the same of both.
            status = 404 if self._known else 401
            self._error(status, "RepoNotFound", "Repository not found")
            return None
        return repository

    def _create(self, wanted: dict[str, Any]) -> None:
        name = f"{wanted.get('organization') or OWNER}/{wanted['name']}"
        if not self._known:
            return self._error(401, "", "Invalid username or password.")
        if not name.startswith(f"{OWNER}/"):
            return self._error(403, "", "You have no rights in this namespace")
        if name in self.server.repositories:
            exists = {"error": "You already created this", "url": f"{self.server.url}/{name}"}
            return self._send(409, json.dumps(exists).encode())
        private = bool(wanted.get("private") or wanted.get("visibility") == "private")
        self.server.repositories[name] = Repository(private)
        return self._json({"url": f"{self.server.url}/{name}", "name": name})

    def _api(self, repository: Repository, name: str, rest: list[str], body: bytes) -> None:
        match rest:
            case [] | ["revision", _]:
                commit = self._commit(repository, rest[1] if rest else "main")
                return commit and self._json(
                    {"id": name, "sha": commit, "private": repository.private, "siblings": [
                        {"rfilename": file} for file in repository.commits[commit]
                    ]}
                )  # fmt: skip
            case ["tree", revision]:
                commit = self._commit(repository, revision)
                return commit and self._json(
                    [_entry(file, content) for file, content in repository.commits[commit].items()]
                )
            case ["preupload", _]:
                return self._json(
                    {"files": [
                        {
                            "path": file["path"],
                            "uploadMode": "lfs" if _is_large(file["path"]) else "regular",
                            "shouldIgnore": False,
                        }
                        for file in json.loads(body)["files"]
                    ]}
                )  # fmt: skip
            case ["commit", "main"]:
                if not self._known:
                    return self._error(401, "", "Invalid username or password.")
                made = repository.commit(self._files(body))
                url = f"{self.server.url}/{name}/commit/{made}"
                return self._json({"success": True, "commitOid": made, "commitUrl": url})
        return self._error(404, "", "no such page")

    def _files(self, body: bytes) -> Files:
        """The files of a commit, in lines of JSON: small ones whole, large ones by SHA-256."""
        files: Files = {}
        for line in body.splitlines():
            entry = json.loads(line)
            value = entry["value"]
            if entry["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif entry["key"] == "lfsFile":
                files[value["path"]] = self.server.objects[value["oid"]]
        return files

    def _large(self, wanted: dict[str, Any]) -> None:
        self._json(
            {"transfer": "basic", "objects": [
                {
                    **one,
                    "authenticated": True,
                    "actions": {"upload": {"href": f"{self.server.url}/objects/{one['oid']}"}},
                }
                for one in wanted["objects"]
            ]}
        )  # fmt: skip

    def _commit(self, repository: Repository, revision: str) -> str | None:
        commit = repository.refs.get(revision, revision)
        if commit not in repository.commits:
            self._error(404, "RevisionNotFound", "Invalid rev id")
            return None
        return commit

    def _resolve(self, repository: Repository, revision: str, file: str) -> None:
        commit = self._commit(repository, revision)
        if commit is None:
            return None
        content = repository.commits[commit].get(file)
        if content is None:
            return self._error(404, "EntryNotFound", "Entry not found")
        etag = _entry(file, content)["oid"]
        if file in self.server.spoiled:
            content = content[:-1] + bytes([content[-1] ^ 1])
        return self._send(200, content, {"X-Repo-Commit": commit, "ETag": f'"{etag}"'})

    def _judge(self, card: str) -> None:
        """As the hub: a licence that it does not know is an error, and so is one without a form."""
        values = yaml.safe_load(card.split("---\n")[1])
        known = values.get("license") in (None, "mit", "apache-2.0", "cc-by-nc-4.0", "other")
        if known and re.fullmatch(r"[a-z0-9.-]*", values.get("license_name", "")):
            return self._json({"errors": [], "warnings": []})
        content = json.dumps({"errors": [{"message": '"license" must be one of …'}]}).encode()
        return self._send(400, content, {"Content-Type": "application/json"})

    def _json(self, value: object) -> None:
        self._send(200, json.dumps(value).encode(), {"Content-Type": "application/json"})

    def _error(self, status: int, code: str, message: str) -> None:
        self._send(
            status,
            json.dumps({"error": message}).encode(),
            {"X-Error-Code": code, "X-Error-Message": message} if code else {},
        )

    def _send(self, status: int, content: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)


def _is_large(file: str) -> bool:
    return file.endswith(".safetensors")


def _entry(file: str, content: bytes) -> dict[str, Any]:
    """A file of a tree as the hub lists it."""
    blob = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
    entry: dict[str, Any] = {"type": "file", "path": file, "size": len(content), "oid": blob}
    if _is_large(file):
        large = hashlib.sha256(content).hexdigest()
        entry |= {"oid": large, "lfs": {"oid": large, "size": len(content), "pointerSize": 130}}
    return entry
