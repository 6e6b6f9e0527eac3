#!/usr/bin/env python3
"""Plays the person at the browser: follows redirects, fills in and posts HTML forms, keeps cookies.

It reads the forms as they are served (hidden fields included) and runs no JavaScript, so it works with any
server-rendered pages. Standard library only: clients start it through `BROWSER`, outside their environment.

    browser.py URL          walk from an authorization URL to the client's callback, in the background

Environment: E2E_EMAIL, E2E_PASSWORD, E2E_DECISION (allow | deny), E2E_BROWSER_LOG (a JSON line a walk),
E2E_BROWSER_JAR (cookies kept between walks), E2E_BROWSER_FOREGROUND=1 (do not detach).
"""

from __future__ import annotations

import html.parser
import http.client
import json
import os
import sys
import time
from dataclasses import dataclass, field
from urllib.parse import parse_qs, urlencode, urljoin, urlsplit

MAX_HOPS = 25
CALLBACK_PATIENCE_SECONDS = 15


@dataclass
class Form:
    action: str = ""
    method: str = "get"
    fields: list[tuple[str, str]] = field(default_factory=list)
    boxes: list[tuple[str, str]] = field(default_factory=list)
    buttons: list[tuple[str, str]] = field(default_factory=list)
    text_names: list[str] = field(default_factory=list)

    def has(self, name: str) -> bool:
        controls = [*self.fields, *self.boxes, *self.buttons]
        return name in self.text_names or any(control == name for control, _ in controls)


class FormReader(html.parser.HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.forms: list[Form] = []
        self.open: Form | None = None
        self.text: list[str] = []
        self.silent = 0

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attributes}
        if tag in ("script", "style"):
            self.silent += 1
        if tag == "form":
            self.open = Form(given.get("action", ""), given.get("method", "get").lower())
            self.forms.append(self.open)
        if self.open is None or "disabled" in given or not given.get("name"):
            return
        kind = given.get("type", "submit" if tag == "button" else "text").lower()
        name, value = given["name"], given.get("value", "")
        if tag == "button" or (tag == "input" and kind == "submit"):
            self.open.buttons.append((name, value))
        elif tag == "input" and kind in ("checkbox", "radio"):
            self.open.boxes.append((name, given.get("value", "on")))
        elif tag == "input" and kind in ("text", "email", "password"):
            self.open.text_names.append(name)
            self.open.fields.append((name, value))
        elif tag == "input":
            self.open.fields.append((name, value))

    def handle_endtag(self, tag: str) -> None:
        if tag == "form":
            self.open = None
        if tag in ("script", "style"):
            self.silent -= 1

    def handle_data(self, data: str) -> None:
        if not self.silent and data.strip():
            self.text.append(data.strip())


@dataclass
class Answer:
    status: int
    headers: http.client.HTTPMessage
    body: str


class Jar:
    """Cookies by host. Ports do not separate cookies (RFC 6265 section 8.5)."""

    def __init__(self, path: str | None) -> None:
        self.path = path
        self.cookies: dict[str, dict[str, str]] = {}
        if path and os.path.exists(path):
            with open(path, encoding="utf-8") as stored:
                self.cookies = json.load(stored)

    def header(self, host: str) -> str:
        return "; ".join(f"{name}={value}" for name, value in self.cookies.get(host, {}).items())

    def take(self, host: str, headers: http.client.HTTPMessage) -> None:
        kept = self.cookies.setdefault(host, {})
        for line in headers.get_all("Set-Cookie") or []:
            pair, *attributes = (part.strip() for part in line.split(";"))
            name, _, value = pair.partition("=")
            if value == "" or any(part.lower() == "max-age=0" for part in attributes):
                kept.pop(name, None)
            else:
                kept[name] = value
        if self.path:
            with open(self.path, "w", encoding="utf-8") as stored:
                json.dump(self.cookies, stored)


class Person:
    def __init__(self, email: str, password: str, decision: str = "allow", jar: str | None = None) -> None:
        self.email, self.password, self.decision = email, password, decision
        self.jar = Jar(jar)
        self.pages: list[str] = []

    def walk(self, url: str) -> str:
        """From the authorization URL to the callback URL, which is returned and not visited."""
        callback = parse_qs(urlsplit(url).query)["redirect_uri"][0]
        answer, here = self.request("GET", url), url
        for _ in range(MAX_HOPS):
            while answer.status in (301, 302, 303, 307, 308):
                here = urljoin(here, answer.headers["Location"])
                if here.split("?")[0] == callback.split("?")[0]:
                    return here
                answer = self.request("GET", here)
            if answer.status >= 500 or "text/html" not in (answer.headers["Content-Type"] or ""):
                raise RuntimeError(f"{here.split('?')[0]} answered {answer.status}: {answer.body[:400]}")
            here, answer = self.answer_page(here, answer)
        raise RuntimeError(f"no callback after {MAX_HOPS} pages: {self.pages}")

    def answer_page(self, here: str, answer: Answer) -> tuple[str, Answer]:
        reader = FormReader()
        reader.feed(answer.body)
        for form in reader.forms:
            if form.has("password"):
                name, filled = "login", self.login(form)
            elif form.has("decision"):
                name, filled = "consent", self.consent(form)
            else:
                continue
            if self.pages[-2:] == [name, name]:
                raise RuntimeError(f"the {name} page came back again: {' '.join(reader.text)[:400]}")
            self.pages.append(name)
            target = urljoin(here, form.action or here)
            return target, self.request(form.method.upper(), target, filled)
        raise RuntimeError(f"a page ({answer.status}) without a form to fill in: {' '.join(reader.text)[:400]}")

    def login(self, form: Form) -> list[tuple[str, str]]:
        typed = {"email": self.email, "password": self.password}
        return [(name, typed.get(name, value)) for name, value in form.fields] + form.buttons[:1]

    def consent(self, form: Form) -> list[tuple[str, str]]:
        ticked = form.boxes if self.decision == "allow" else []
        ticked = [(name, value) for name, value in ticked if name != "decision"]
        return form.fields + ticked + [("decision", self.decision)]

    def request(self, method: str, url: str, form: list[tuple[str, str]] | None = None) -> Answer:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https"):
            raise RuntimeError(f"will not open {url}")
        secure = parts.scheme == "https"
        kind = http.client.HTTPSConnection if secure else http.client.HTTPConnection
        connection = kind(parts.hostname or "", parts.port, timeout=20)
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        headers = {"Accept": "text/html,*/*;q=0.8", "Sec-Fetch-Mode": "navigate", "Sec-Fetch-Dest": "document"}
        headers["Sec-Fetch-Site"] = "same-origin" if form is not None else "none"
        if cookies := self.jar.header(parts.hostname or ""):
            headers["Cookie"] = cookies
        body = None
        if form is not None:
            body = urlencode(form)
            headers["Content-Type"] = "application/x-www-form-urlencoded"
            headers["Origin"] = f"{parts.scheme}://{parts.netloc}"
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            answer = Answer(response.status, response.headers, response.read().decode("utf-8", "replace"))
        finally:
            connection.close()
        self.jar.take(parts.hostname or "", answer.headers)
        return answer

    def deliver(self, callback: str) -> None:
        """Visits the client's loopback callback, which may start to listen only after the browser was opened."""
        deadline = time.monotonic() + CALLBACK_PATIENCE_SECONDS
        while True:
            try:
                answer = self.request("GET", callback)
            except ConnectionRefusedError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)
            else:
                # A client may send the browser on to a page of its own: that is the end of the walk too.
                if answer.status >= 400:
                    raise RuntimeError(f"the client's callback answered {answer.status}: {answer.body[:200]}")
                return


def person() -> Person:
    env = os.environ
    return Person(env["E2E_EMAIL"], env["E2E_PASSWORD"], env.get("E2E_DECISION", "allow"), env.get("E2E_BROWSER_JAR"))


def record(entry: dict[str, object]) -> None:
    if path := os.environ.get("E2E_BROWSER_LOG"):
        with open(path, "a", encoding="utf-8") as log:
            log.write(json.dumps(entry) + "\n")


def open_url(url: str, deliver: bool) -> str:
    """One walk, recorded. Returns the callback URL."""
    who = person()
    try:
        callback = who.walk(url)
        # Before the client hears of it: it may look at the record at once.
        record({"ok": True, "pages": who.pages, "detail": callback.split("?")[0]})
        if deliver:
            who.deliver(callback)
    except Exception as error:
        record({"ok": False, "pages": who.pages, "detail": str(error)})
        raise
    return callback


def main() -> None:
    url = next(argument for argument in reversed(sys.argv[1:]) if argument.startswith("http"))
    if not os.environ.get("E2E_BROWSER_FOREGROUND"):
        # Openers wait for the program they start, and clients listen only after that.
        if os.fork():
            os._exit(0)
        os.setsid()
        nowhere = os.open(os.devnull, os.O_RDWR)
        for descriptor in (0, 1, 2):
            os.dup2(nowhere, descriptor)
    open_url(url, deliver=True)


if __name__ == "__main__":
    main()
