// Login, consent and errors in a real browser: looks (screenshots), accessibility (axe), content security policy,
// console, and the way through with JavaScript switched off.
import { chromium } from "playwright-core";
import { mkdirSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";

import { Application, WebApplication } from "./application.mjs";
import { expect, walker } from "./steps.mjs";

const SHOTS = process.env.E2E_SCREENSHOTS;
const AXE = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const ARGUMENTS = [
  "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
  "--disable-background-networking", "--disable-component-update", "--disable-sync",
];
const LOOKS = {
  desktop: { viewport: { width: 1280, height: 800 } },
  "desktop-dark": { viewport: { width: 1280, height: 800 }, colorScheme: "dark" },
  phone: { viewport: { width: 390, height: 844 }, deviceScaleFactor: 2, isMobile: true, hasTouch: true },
  "desktop-no-script": { viewport: { width: 1280, height: 800 }, javaScriptEnabled: false },
};

/** One person's browser: a context of its own, and everything it complained about. */
class Window {
  constructor(browser, look) {
    Object.assign(this, { browser, look, complaints: [], scripted: LOOKS[look].javaScriptEnabled !== false });
  }

  async open() {
    this.context = await this.browser.newContext(LOOKS[this.look]);
    this.page = await this.context.newPage();
    await this.page.addInitScript(() => {
      document.addEventListener("securitypolicyviolation", (violation) => {
        console.error(`policy violation: ${violation.violatedDirective} ${violation.blockedURI}`);
      });
    });
    const documents = new Set();
    this.page.on("request", (request) => {
      if (request.isNavigationRequest()) documents.add(request.url());
    });
    this.page.on("pageerror", (error) => this.complaints.push(`script error: ${error.message}`));
    this.page.on("console", (message) => {
      // The browser also reports the status of the document itself, which the error pages have by design.
      const aboutDocument = message.text().startsWith("Failed to load resource") && documents.has(message.location().url);
      if (["error", "warning"].includes(message.type()) && !aboutDocument) {
        this.complaints.push(`${message.text()} (${message.location().url})`);
      }
    });
  }

  /** A picture of the page, its accessibility, its width, and no complaint of the browser since the last look. */
  async inspect(name) {
    await this.page.screenshot({ path: `${SHOTS}/${this.look}-${name}.png`, fullPage: true });
    if (this.scripted) {
      await this.page.evaluate(AXE);
      const { violations } = await this.page.evaluate(() => globalThis.axe.run());
      const found = violations.map(({ id, help, nodes }) => `${id} (${help}): ${nodes.map((node) => node.html).join(" ").slice(0, 300)}`);
      expect(found.length === 0, `axe: ${found.join("; ")}`);
      const excess = await this.page.evaluate(() => document.scrollingElement.scrollWidth - innerWidth);
      expect(excess <= 0, `the page is ${excess} pixels wider than the window`);
    }
    expect(this.complaints.length === 0, `the browser complained: ${this.complaints.join("; ")}`);
  }

  async text() {
    return (await this.page.locator("body").innerText()).replace(/\s+/g, " ");
  }

  async logIn(password) {
    const form = this.page.locator("form:has(input[name=password])");
    await form.locator("input[name=email]").fill(process.env.E2E_EMAIL);
    await form.locator("input[name=password]").fill(password);
    await Promise.all([this.page.waitForNavigation(), form.locator("input[name=password]").press("Enter")]);
  }

  /** Presses a button of the consent form and returns what arrived at the application's callback. */
  async decide(decision, application) {
    const arrived = application.nextCallback();
    await this.page.locator(`button[name=decision][value=${decision}]`).click();
    return arrived;
  }
}

async function journey(browser, look, application) {
  const step = walker(`browser ${look}`);
  const window = new Window(browser, look);
  await window.open();
  await step("login page", async () => {
    await window.page.goto(application.authorizationUrl());
    await window.inspect("1-login");
  });
  await step("wrong password", async () => {
    await window.logIn("not the password");
    await window.inspect("2-wrong-password");
    expect(await window.page.locator("[role=alert]").count(), `nothing says what is wrong: ${await window.text()}`);
  });
  await step("consent page", async () => {
    await window.logIn(process.env.E2E_PASSWORD);
    await window.inspect("3-consent");
    const text = await window.text();
    for (const needed of [application.clientName, "127.0.0.1", application.resource, process.env.E2E_EMAIL]) {
      expect(text.includes(needed), `the consent page does not show ${needed}: ${text}`);
    }
  });
  await step("deny", async () => {
    const answer = await window.decide("deny", application);
    expect(answer.get("error") === "access_denied", `the callback got ${answer}`);
    application.checkOrigin(answer);
  });
  await step("allow", async () => {
    await window.page.goto(application.authorizationUrl());
    const answer = await window.decide("allow", application);
    application.checkOrigin(answer);
    const tokens = await application.redeem(answer);
    return `granted ${tokens.scope}`;
  });
  await step("partial grant", async () => {
    await window.page.goto(application.authorizationUrl());
    await window.page.locator("input[type=checkbox][value='mcp:write']").uncheck();
    const tokens = await application.redeem(await window.decide("allow", application));
    expect(tokens.scope.split(" ").includes("mcp:read"), `granted ${tokens.scope}`);
    expect(!tokens.scope.split(" ").includes("mcp:write"), `granted ${tokens.scope}`);
  });
  await step("error page", async () => {
    const answer = await window.page.goto(application.authorizationUrl({ redirect_uri: "https://elsewhere.example/callback" }));
    expect(answer.status() === 400, `answered ${answer.status()}`);
    expect(new URL(window.page.url()).hostname !== "elsewhere.example", "redirected to an unregistered address");
    await window.inspect("4-error");
  });
  await window.context.close();
}

/** The sign-in of a web application in a popup: the page that opened it sees it open, and hears from it at the end. */
async function popup(browser, application) {
  const step = walker("browser popup");
  const window = new Window(browser, "desktop");
  await window.open();
  await application.serve(window.context);
  const opener = window.page;
  await step("sign-in in a popup", async () => {
    await opener.goto(application.origin);
    const opened = window.context.waitForEvent("page");
    await opener.evaluate((url) => { globalThis.signIn = globalThis.open(url, "sign-in", "popup"); }, application.authorizationUrl());
    window.page = await opened;
    await window.page.waitForSelector("input[name=password]");
    expect(!(await opener.evaluate(() => globalThis.signIn.closed)), "the popup counts as closed on the sign-in page");
    await window.logIn("not the password");
    await window.logIn(process.env.E2E_PASSWORD);
    expect(!(await opener.evaluate(() => globalThis.signIn.closed)), "the popup counts as closed on the consent page");
  });
  await step("answer to the opener", async () => {
    await window.page.locator("button[name=decision][value=allow]").click();
    await window.page.waitForURL(`${application.redirectUri}?**`);
    expect(await window.page.evaluate(() => globalThis.hadOpener), "window.opener is null at the callback");
    await opener.waitForFunction(() => globalThis.answer);
    const answer = new URLSearchParams(await opener.evaluate(() => globalThis.answer));
    application.checkOrigin(answer);
    const tokens = await application.redeem(answer);
    return `granted ${tokens.scope}`;
  });
  await window.context.close();
}

mkdirSync(SHOTS, { recursive: true });
const application = await Application.register();
const webApplication = await WebApplication.register();
const browser = await chromium.launch({ executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium", args: ARGUMENTS });
try {
  for (const look of Object.keys(LOOKS)) await journey(browser, look, application);
  await popup(browser, webApplication);
} finally {
  await browser.close();
  application.close();
  webApplication.close();
}
