"""The console's page: it is served whole, to browsers only, strictly, and without data."""

import re
from pathlib import Path

import pytest

from tests.http.api_client import ROOT, Api, api_client, ok, running_host
from turnlog.api.description.openapi import VERSION

pytestmark = pytest.mark.anyio

BROWSER = {"accept": "text/html,application/xhtml+xml,*/*;q=0.8"}


async def test_a_browser_gets_the_page_and_other_clients_get_links_that_work(api: Api) -> None:
    page = await api.http.get("/", headers=BROWSER)
    links = await api.http.get("/", headers={"accept": "*/*"})

    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert page.content == (await api.http.get("/console")).content
    assert page.headers["vary"] == links.headers["vary"] == "accept"
    body = ok(links)
    assert (body["name"], body["version"]) == ("Turnlog", VERSION)
    assert body["links"].keys() >= {"console", "sessions", "openapi", "docs", "health"}
    for path in body["links"].values():
        assert (await api.http.get(path)).status_code == 200, path


async def test_every_file_that_the_page_names_is_served_here_and_kept_by_the_browser(api: Api) -> None:
    page = await api.http.get("/console")
    files = re.findall(r'(?:src|href)="(/console/[^"]+)"', page.text)

    served = {path: await api.http.get(path) for path in files}

    assert {path.rsplit("/", 1)[1] for path in files} >= {"app.js", "index.js", "console.css", "icon.svg"}
    assert {each.status_code for each in served.values()} == {200}
    assert {each.headers["cache-control"] for each in served.values()} == {"public, max-age=31536000, immutable"}
    assert {each.headers["content-type"].split(";")[0] for each in served.values()} == {
        "text/javascript",
        "text/css",
        "image/svg+xml",
    }


async def test_each_import_of_a_script_is_a_file_that_the_page_loads_at_once(api: Api) -> None:
    page = await api.http.get("/console")
    scripts = set(re.findall(r'rel="modulepreload" href="([^"]+)"', page.text))

    for script in scripts:
        source = (await api.http.get(script)).text
        for name in re.findall(r'from "(\.[^"]+)"', source):
            folder = Path(script).parent
            target = folder / name if not name.startswith("../") else folder.parent / name.removeprefix("../")
            assert str(target) in scripts, f"{script} imports {name}"


async def test_the_page_runs_no_script_and_loads_no_file_of_another_origin(api: Api) -> None:
    page = await api.http.get("/console")
    policy = dict(each.split(" ", 1) for each in page.headers["content-security-policy"].split("; "))

    assert policy["default-src"] == "'none'"
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    assert policy["frame-ancestors"] == policy["base-uri"] == "'none'"
    assert "unsafe" not in page.headers["content-security-policy"]
    assert not re.search(r'<script(?![^>]*src=)|<style|\son\w+=|\sstyle=|(?:src|href)="(?:https?:)?//', page.text)


async def test_a_browser_that_has_the_page_gets_304_and_files_of_another_version_are_asked_for_again(api: Api) -> None:
    etag = (await api.http.get("/console")).headers["etag"]

    again = await api.http.get("/", headers={**BROWSER, "if-none-match": etag})
    older = await api.http.get("/console/0000/page/app.js")

    assert (again.status_code, again.content) == (304, b"")
    assert (older.status_code, older.headers["cache-control"]) == (200, "no-cache")
    assert (await api.http.get("/console/0000/page/other.js")).status_code == 404
    assert (await api.http.get("/console/0000/page/index.html")).status_code == 404
    assert (await api.http.get("/console/0000/page/..%2F__init__.py")).status_code == 404


async def test_the_page_is_open_where_callers_sign_in_and_its_data_is_not(tmp_path: Path) -> None:
    issuer = {"JWT_ISSUER": "https://issuer", "JWT_AUDIENCE": "turnlog", "JWT_JWKS_URL": "https://127.0.0.1:9/keys"}
    with running_host(tmp_path, {"AUTH_MODE": "jwt", **issuer}) as host:
        async with api_client(host) as api:
            assert (await api.http.get("/", headers=BROWSER)).status_code == 200
            assert (await api.http.get("/sessions")).status_code == 401


def test_the_files_of_the_page_are_small_and_are_deployed() -> None:
    folder = ROOT / "shared" / "api" / "console"
    files = [path for path in folder.rglob("*") if path.suffix in {".js", ".css", ".html", ".svg"}]

    assert len(files) > 20
    assert sum(path.stat().st_size for path in files) < 150_000
