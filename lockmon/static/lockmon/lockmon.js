// What our pages do beyond plain HTML: they refresh themselves, show times in the reader's zone, and play the past.
// A module of its own, because the content security policy allows no inline script.
import { Idiomorph } from "./vendor/idiomorph.esm.js";

const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
// Times within sentences are the server's to write: it is told the reader's zone (lockmon/zones.py).
if (!document.cookie.split("; ").includes(`lockmon_zone=${zone}`)) {
  const secure = location.protocol === "https:" ? "; Secure" : "";
  document.cookie = `lockmon_zone=${zone}; Path=/; Max-Age=31536000; SameSite=Lax${secure}`;
}
const pad = (number) => String(number).padStart(2, "0");

function words(date, style) {
  const time = `${pad(date.getHours())}:${pad(date.getMinutes())}:${pad(date.getSeconds())}`;
  if (style === "time") return time;
  if (style === "minute" || style === "short") {
    const day = date.toLocaleDateString("en-GB", { day: "2-digit", month: "short" });
    return `${day} ${style === "minute" ? time.slice(0, 5) : time}`;
  }
  return `${date.getFullYear()}-${pad(date.getMonth() + 1)}-${pad(date.getDate())} ${time}`;
}

function localTimes(root) {
  for (const element of root.querySelectorAll("time[datetime]")) {
    const date = new Date(element.dateTime);
    if (Number.isNaN(date.getTime())) continue;
    const text = words(date, element.dataset.style);
    if (element.textContent !== text) element.textContent = text;
    element.title = `${element.dateTime.slice(0, 19).replace("T", " ")} UTC; shown in ${zone}`;
  }
}

// Axes too are in the reader's zone.
function localAxes(root) {
  for (const element of root.querySelectorAll("[data-moment]")) {
    const date = new Date(element.dataset.moment);
    const day = date.toLocaleDateString("en-GB", { day: "2-digit", month: "short" });
    const midnight = date.getHours() === 0 && date.getMinutes() === 0;
    element.textContent = element.dataset.style === "day" || midnight ? day : words(date, "time").slice(0, 5);
  }
}

// Put a fragment in its place; focus, folds, scroll and selection stay, because elements keep their identity.
function morph(target, html) {
  const box = document.createElement("template");
  box.innerHTML = html;
  localTimes(box.content);
  localAxes(box.content);
  const keep = new Set(["open", "hidden", "aria-pressed"]);
  Idiomorph.morph(target, box.innerHTML, {
    morphStyle: "innerHTML",
    ignoreActiveValue: true,
    callbacks: {
      beforeAttributeUpdated(name, node) {
        if (node.nodeName === "DETAILS" && name === "open") return false;
        if (node.id === "pause" && keep.has(name)) return false;
        return true;
      },
      beforeNodeMorphed(old) {
        return !(old.nodeType === 1 && old.id === "pause");
      },
    },
  });
}

// Tells the server that a clock asks for a piece, not a hand: that is no use of the session.
const byClock = { "X-Lockmon-Refresh": "1" };
const LOG_IN = " Log in";

// Where to log in again, and to come back from, once the server has ended an idle session.
function loginOf(answer) {
  const here = encodeURIComponent(location.pathname + location.search);
  return `${answer.headers.get("X-Lockmon-Login")}&next=${here}`;
}

// How old the tree of a piece is, in milliseconds: 0 for the present one, more for one that was last seen, Infinity for none.
function ageOf(root) {
  const bar = root.querySelector("[data-age]");
  if (!bar) return 0;
  return bar.dataset.age === "" ? Infinity : Number(bar.dataset.age) * 1000;
}

// The health line is the server's; where the server is not heard any more the line says that, and no longer "Watching".
function healthLine(target, fresh) {
  const line = target.querySelector(".heart");
  if (line && fresh) line.replaceWith(fresh);
}

class Live {
  constructor(target) {
    this.target = target;
    this.every = Number(target.dataset.every) * 1000;
    // when the tree that is shown was the present one, and when the server was last heard
    this.good = Date.now() - ageOf(target);
    this.heard = Date.now();
    this.lags = ageOf(target) > 0;
    this.paused = false;
    this.busy = false;
    this.trouble = "";
    this.login = "";
    target.addEventListener("click", (event) => {
      if (event.target.closest("#pause")) this.toggle();
    });
    document.addEventListener("visibilitychange", () => {
      if (!document.hidden) this.look();
    });
    setInterval(() => this.look(), this.every);
    setInterval(() => this.say(), 500);
    this.say();
  }

  toggle() {
    this.paused = !this.paused;
    this.say();
    if (!this.paused) this.look();
  }

  async look() {
    if (this.busy || this.paused || document.hidden || this.login) return;
    this.busy = true;
    try {
      const answer = await fetch(this.target.dataset.refresh, {
        credentials: "same-origin",
        headers: { Accept: "text/html", ...byClock },
        signal: AbortSignal.timeout(8000),
      });
      if (answer.headers.get("X-Lockmon-Login") !== null) {
        this.login = loginOf(answer);
        this.trouble = await answer.text();
      } else if (answer.headers.get("X-Lockmon-Standing") !== null) {
        this.place(await answer.text(), true);
      } else if (answer.headers.get("X-Lockmon-Fragment") === null) {
        this.trouble = answer.redirected || answer.status === 403
          ? "You are no longer logged in: reload the page."
          : `The monitor's web server answered ${answer.status}.`;
      } else {
        this.place(await answer.text(), false);
      }
    } catch (error) {
      this.trouble = "The monitor's web server does not answer.";
    } finally {
      this.busy = false;
      this.say();
    }
  }

  // Put a piece into its place. A line alone, or a tree that is older than the one shown (of another process of the web
  // server), leaves the tree as it is and says how old that is.
  place(html, lineAlone) {
    const box = document.createElement("template");
    box.innerHTML = html;
    localTimes(box.content);
    const old = ageOf(box.content);
    const seen = Date.now() - old;
    this.lags = lineAlone || old > 0;
    if (lineAlone || seen < this.good - 1000) {
      healthLine(this.target, box.content.querySelector(".heart"));
    } else {
      morph(this.target, html);
      this.good = seen;
    }
    this.heard = Date.now();
    this.trouble = "";
  }

  // A page that stands still does not say that anybody watches.
  standStill() {
    const line = this.target.querySelector(".heart");
    if (!line || (!this.paused && !this.trouble && Date.now() - this.heard < 10000)) return;
    const text = `⚠ This page has not been refreshed since ${words(new Date(this.heard), "time")}${this.paused ? ": it is paused" : ""}. Whether anybody watches now, it cannot say.`;
    if (line.textContent !== text) line.textContent = text;
    line.classList.add("bad");
  }

  say() {
    this.standStill();
    const age = Math.max(0, (Date.now() - this.good) / 1000);
    const stale = age > 10 || this.lags || this.trouble !== "";
    const button = this.target.querySelector("#pause");
    if (button) {
      button.hidden = false;
      button.setAttribute("aria-pressed", String(this.paused));
      const text = this.paused ? "Go on" : "Pause";
      if (button.textContent !== text) button.textContent = text;
    }
    const updated = this.target.querySelector(".updated");
    if (updated) updated.hidden = stale;
    const since = this.target.querySelector("[data-updated]");
    if (since) since.textContent = age < 1.5 ? "just now" : `${age.toFixed(0)} s ago`;
    const warning = this.target.querySelector(".stale");
    if (warning) {
      const below = Number.isFinite(age) ? ` What is below is ${age.toFixed(0)} s old${this.paused ? ": paused" : ""}.` : "";
      const text = !stale ? "" : `${this.trouble}${below}`.trim();
      warning.hidden = !stale;
      if (warning.textContent !== text + (this.login ? LOG_IN : "")) {
        warning.textContent = text;
        if (this.login) {
          const link = document.createElement("a");
          link.href = this.login;
          link.textContent = LOG_IN;
          warning.append(link);
        }
      }
    }
    this.target.classList.toggle("is-stale", stale);
  }
}

// Play: step through the changes of the past, one a second, without a new page for each.
class Past {
  constructor(target) {
    this.target = target;
    this.timer = null;
    target.addEventListener("click", (event) => {
      const link = event.target.closest("a[data-step]");
      if (link) {
        event.preventDefault();
        this.go(link.href);
      } else if (event.target.closest("#play")) {
        this.timer ? this.stop() : this.play();
      }
    });
    document.addEventListener("keydown", (event) => {
      if (event.target.closest("input, select, textarea") || event.ctrlKey || event.altKey || event.metaKey) return;
      const step = { ArrowLeft: "previous", ArrowRight: "next" }[event.key];
      const link = step && target.querySelector(`a[data-step="${step}"]`);
      if (link) {
        event.preventDefault();
        this.go(link.href);
      }
    });
    this.show();
  }

  show() {
    const button = this.target.querySelector("#play");
    if (!button) return;
    button.hidden = false;
    button.textContent = this.timer ? "Stop" : "Play";
  }

  play() {
    this.timer = setInterval(() => {
      const link = this.target.querySelector('a[data-step="next"]');
      link ? this.go(link.href, byClock) : this.stop();
    }, 1000);
    this.show();
  }

  stop() {
    clearInterval(this.timer);
    this.timer = null;
    this.show();
  }

  async go(address, headers = {}) {
    if (this.busy) return;
    this.busy = true;
    try {
      const wanted = new URL(address);
      const answer = await fetch(this.target.dataset.fragment + wanted.search, { credentials: "same-origin", headers });
      if (answer.headers.get("X-Lockmon-Login") !== null) {
        location.assign(loginOf(answer));
        return;
      }
      if (answer.headers.get("X-Lockmon-Fragment") === null) {
        location.assign(address);
        return;
      }
      const active = document.activeElement && document.activeElement.dataset.step;
      morph(this.target, await answer.text());
      history.replaceState(null, "", wanted.search);
      if (active) this.target.querySelector(`a[data-step="${active}"]`)?.focus();
      this.show();
    } catch (error) {
      this.stop();
      location.assign(address);
    } finally {
      this.busy = false;
    }
  }
}

// A form with a file says how far it is: the file's way to the server in percent, then that it is being read. Without this script it
// is sent as any form.
class Upload {
  constructor(form) {
    this.form = form;
    this.row = form.querySelector("[data-sending]");
    this.bar = this.row.querySelector("progress");
    this.status = this.row.querySelector("[role=status]");
    this.button = form.querySelector("[type=submit]");
  }

  say(text, part) {
    if (part === undefined) this.bar.removeAttribute("value");
    else this.bar.value = part;
    if (this.status.textContent !== text) this.status.textContent = text;
  }

  send() {
    const request = new XMLHttpRequest();
    request.open("POST", this.form.action);
    request.setRequestHeader("X-Lockmon-Upload", "1");
    request.upload.addEventListener("progress", (event) => {
      if (!event.lengthComputable) return;
      const part = event.loaded / event.total;
      const size = (event.total / 1e6).toFixed(1);
      if (part < 1) this.say(`${Math.floor(part * 20) * 5} % of ${size} MB`, part);
      else this.say(`All ${size} MB are sent. The server reads them.`);
    });
    request.addEventListener("load", () => this.done(request));
    request.addEventListener("error", () => this.failed("The server did not take the file, or does not answer."));
    this.row.hidden = false;
    this.button.disabled = true;
    this.say("0 %", 0);
    request.send(new FormData(this.form));
  }

  done(request) {
    // from elsewhere: a login, because the session had ended
    if (request.status === 204 || new URL(request.responseURL).pathname !== location.pathname) {
      location.assign(location.href);
      return;
    }
    const content = new DOMParser().parseFromString(request.responseText, "text/html").querySelector("#content");
    if (content) document.querySelector("#content").replaceWith(content);
    else this.refused(request.status);
  }

  refused(status) {
    const proxy = status === 413 ? " A proxy in front of it lets no file of this size through." : "";
    this.failed(`The server answered with ${status}.${proxy}`);
  }

  failed(why) {
    this.button.disabled = false;
    this.say(`${why} Send it again: what was taken is not taken twice.`, 0);
  }
}

document.addEventListener("submit", (event) => {
  if (!event.target.matches("form[data-upload]")) return;
  event.preventDefault();
  new Upload(event.target).send();
});

localTimes(document);
localAxes(document);
// A page that says what is wrong tries again by itself.
for (const element of document.querySelectorAll("[data-again]")) {
  element.textContent = `Tries again every ${element.dataset.again} s.`;
  setTimeout(() => location.reload(), Number(element.dataset.again) * 1000);
}
const live = document.getElementById("live");
if (live) new Live(live);
const past = document.getElementById("past");
if (past) new Past(past);
for (const button of document.querySelectorAll("[data-copy]")) {
  button.hidden = false;
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(new URL(button.dataset.copy, location.href).href);
    button.textContent = "Copied";
  });
}
