"""Who may use which route, declared here a second time, by hand: the code is held against this table.

A route is (method, path). The word behind it is the scope it needs; `open` needs nothing, `session` a signed-in person
(any role), `member` a member of the project in the path, `operator` an operator of the installation.
"""

API = {
    ("POST", "outputs"): "ingest",
    ("GET", "outputs"): "read",
    ("GET", "outputs/count"): "read",
    ("GET", "outputs/{output}"): "read",
    ("POST", "feedback"): "ingest",
    ("GET", "connections"): "read",
    ("POST", "connections"): "admin",
    ("GET", "prompts"): "read",
    ("POST", "prompts"): "evaluate",
    ("GET", "prompts/{prompt}"): "read",
    ("GET", "prompts/{prompt}/revisions"): "read",
    ("POST", "prompts/{prompt}/revisions"): "evaluate",
    ("PUT", "prompts/{prompt}/parts"): "admin",
    ("POST", "prompts/{prompt}/render"): "read",
    ("GET", "prompts/{prompt}/labels/{label}/policy"): "read",
    ("PUT", "prompts/{prompt}/labels/{label}/policy"): "admin",
    ("GET", "prompts/{prompt}/releases"): "read",
    ("POST", "prompts/{prompt}/releases"): "release",
    ("POST", "prompts/{prompt}/releases/{release}/rollback"): "release",
    ("GET", "prompts/{prompt}/proposals"): "read",
    ("POST", "prompts/{prompt}/proposals"): "evaluate",
    ("GET", "proposals/{proposal}"): "read",
}
PAGES = {
    ("GET", "healthz"): "open",
    ("GET", "readyz"): "open",
    ("GET", "api/schema/"): "open",
    ("GET", "api/docs/"): "open",
    ("GET", "login/"): "open",
    ("POST", "login/"): "open",
    ("POST", "logout/"): "open",
    ("GET", ""): "session",
    ("GET", "{project}/"): "member",
}
