// Plays the person at the browser for the Node clients: follows redirects, fills in and posts HTML forms, keeps
// cookies. It reads the forms as they are served and runs no JavaScript. See also ../python/browser.py.
import { appendFileSync } from "node:fs";

const MAX_HOPS = 25;
const cookies = new Map();

/**
 * Walks from an authorization URL to the client's callback URL, which is returned and not visited.
 * `redirectUri` is for addresses that do not carry it (RFC 9126).
 */
export async function walk(authorizationUrl, redirectUri) {
  const pages = [];
  try {
    const start = new URL(authorizationUrl);
    const callback = await toCallback(start, new URL(redirectUri ?? start.searchParams.get("redirect_uri")), pages);
    record({ ok: true, pages, detail: callback.origin + callback.pathname });
    return callback;
  } catch (error) {
    record({ ok: false, pages, detail: String(error.message ?? error) });
    throw error;
  }
}

/** Types the code that a device shows (RFC 8628 section 3.3) and decides. Returns what the last page says. */
export async function enterDeviceCode(verificationUri, userCode) {
  const pages = [];
  try {
    let here = new URL(verificationUri);
    let answer = await request(here);
    for (let hop = 0; hop < MAX_HOPS; hop++) {
      while ([301, 302, 303, 307, 308].includes(answer.status)) {
        here = new URL(answer.headers.get("location"), here);
        answer = await request(here);
      }
      const html = await answer.text();
      if (answer.status >= 500) throw new Error(`${here.pathname} answered ${answer.status}: ${html.slice(0, 400)}`);
      if (pages.at(-1) === "consent") {
        record({ ok: true, pages, detail: here.pathname });
        return textOf(html);
      }
      const filled = answerPage(html, pages, userCode);
      here = new URL(filled.action || here, here);
      answer = await request(here, filled.fields);
    }
    throw new Error(`no end after ${MAX_HOPS} pages: ${pages}`);
  } catch (error) {
    record({ ok: false, pages, detail: String(error.message ?? error) });
    throw error;
  }
}

async function toCallback(url, redirectUri, pages) {
  let here = url;
  let answer = await request(here);
  for (let hop = 0; hop < MAX_HOPS; hop++) {
    while ([301, 302, 303, 307, 308].includes(answer.status)) {
      here = new URL(answer.headers.get("location"), here);
      if (here.origin === redirectUri.origin && here.pathname === redirectUri.pathname) return here;
      answer = await request(here);
    }
    const html = await answer.text();
    if (answer.status >= 500) throw new Error(`${here.pathname} answered ${answer.status}: ${html.slice(0, 400)}`);
    const filled = answerPage(html, pages);
    here = new URL(filled.action || here, here);
    answer = await request(here, filled.fields);
  }
  throw new Error(`no callback after ${MAX_HOPS} pages: ${pages}`);
}

function answerPage(html, pages, userCode) {
  for (const form of formsOf(html)) {
    const named = new Set(form.controls.map((control) => control.name));
    const page = pageOf(named);
    if (!page) continue;
    if (pages.at(-1) === page && pages.at(-2) === page) throw new Error(`the ${page} page came back: ${textOf(html)}`);
    pages.push(page);
    return { action: form.action, fields: page === "consent" ? consent(form) : typedInto(form, userCode) };
  }
  throw new Error(`a page without a form to fill in: ${textOf(html)}`);
}

function pageOf(named) {
  if (named.has("password")) return "login";
  if (named.has("decision")) return "consent";
  return named.has("user_code") ? "device" : undefined;
}

function typedInto(form, userCode) {
  const typed = { email: process.env.E2E_EMAIL, password: process.env.E2E_PASSWORD, user_code: userCode };
  const inputs = form.controls.filter((control) => !["submit", "checkbox", "radio"].includes(control.kind));
  const button = form.controls.find((control) => control.kind === "submit");
  return [...inputs, ...(button ? [button] : [])].map(({ name, value }) => [name, typed[name] ?? value]);
}

function consent(form) {
  const decision = process.env.E2E_DECISION ?? "allow";
  const kept = form.controls.filter(({ name, kind }) => {
    if (name === "decision" || kind === "submit") return false;
    return decision === "allow" || kind !== "checkbox";
  });
  return [...kept.map(({ name, value }) => [name, value]), ["decision", decision]];
}

function formsOf(html) {
  return [...html.matchAll(/<form\b([^>]*)>([\s\S]*?)<\/form>/gi)].map(([, head, body]) => ({
    action: attributes(head).action ?? "",
    controls: [...body.matchAll(/<(input|button)\b([^>]*)>/gi)]
      .map(([, tag, given]) => ({ tag: tag.toLowerCase(), ...attributes(given) }))
      .filter((control) => control.name && control.disabled === undefined)
      .map(({ tag, name, type, value }) => {
        const kind = (type ?? (tag === "button" ? "submit" : "text")).toLowerCase();
        return { name, kind, value: value ?? (kind === "checkbox" ? "on" : "") };
      }),
  }));
}

function attributes(text) {
  const found = {};
  for (const [, name, , doubled, single, bare] of text.matchAll(/([\w:-]+)(\s*=\s*(?:"([^"]*)"|'([^']*)'|([^\s"'>]+)))?/g)) {
    found[name.toLowerCase()] = decode(doubled ?? single ?? bare ?? "");
  }
  return found;
}

function decode(text) {
  const named = { amp: "&", lt: "<", gt: ">", quot: '"', apos: "'" };
  return text.replace(/&(?:#x([0-9a-f]+)|#(\d+)|(\w+));/gi, (whole, hex, decimal, name) => {
    if (hex) return String.fromCodePoint(Number.parseInt(hex, 16));
    if (decimal) return String.fromCodePoint(Number(decimal));
    return named[name] ?? whole;
  });
}

function textOf(html) {
  return decode(html.replace(/<(script|style)[\s\S]*?<\/\1>/gi, "").replace(/<[^>]*>/g, " ")).replace(/\s+/g, " ").slice(0, 400);
}

async function request(url, form) {
  const kept = cookies.get(url.hostname) ?? new Map();
  const headers = { accept: "text/html,*/*;q=0.8", "sec-fetch-site": form ? "same-origin" : "none" };
  if (kept.size > 0) headers.cookie = [...kept].map(([name, value]) => `${name}=${value}`).join("; ");
  if (form) headers.origin = url.origin;
  const answer = await fetch(url, {
    method: form ? "POST" : "GET",
    body: form && new URLSearchParams(form),
    headers,
    redirect: "manual",
  });
  for (const line of answer.headers.getSetCookie()) {
    const [, name, value] = /^\s*([^=]+)=([^;]*)/.exec(line);
    if (value === "" || /;\s*max-age=0/i.test(line)) kept.delete(name);
    else kept.set(name, value);
  }
  cookies.set(url.hostname, kept);
  return answer;
}

function record(entry) {
  if (process.env.E2E_BROWSER_LOG) appendFileSync(process.env.E2E_BROWSER_LOG, `${JSON.stringify(entry)}\n`);
}
