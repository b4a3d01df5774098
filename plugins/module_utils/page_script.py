# Copyright: (c) 2026, the hpc.jupyter contributors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What every page of a session runs: it warns before the session's end, and counts what kernels have told the page.

Once a minute it asks how long the session lasts. To a kernel's websocket it adds how many messages the page has got
under its session, so that after a cut the server gives it the others and none twice (``page_outbox.py``).

Plain JavaScript without any library of JupyterLab's or the notebooks', styled by the DOM alone, so that a content
security policy without inline scripts and styles lets it be.
"""

from __future__ import annotations

SCRIPT = r"""
(() => {
  "use strict";
  const KERNEL = /\/api\/kernels\/[^/?]+\/channels\?(?:.*&)?session_id=[^&]+/;
  const seen = new Map();  // a kernel's websocket, without the count -> the messages that have come

  // Before the page's own scripts run, which take it from here.
  window.WebSocket = class WebSocket extends window.WebSocket {
    constructor(url, ...others) {
      const key = String(url);
      const counts = KERNEL.test(key);
      super(counts ? `${key}&hpc_jupyter_seen=${seen.get(key) || 0}` : url, ...others);
      if (counts) { this.addEventListener("message", () => seen.set(key, (seen.get(key) || 0) + 1)); }
    }
  };

  if (window.top !== window.self || window.hpcJupyterNotice) { return; }
  window.hpcJupyterNotice = true;

  const ADDRESS = new URL("notice", document.currentScript.src);
  const POLL_MS = 60000;
  const ends = {};      // kind -> {at: milliseconds, minutes: when to warn}
  const closed = {};    // kind -> the warning, in minutes, that was closed last
  let used = 0;         // when somebody did something on this page that was not told yet
  let asking = false;
  let banner = null;
  let shown = "";

  const level = (kind) => {
    const left = (ends[kind].at - Date.now()) / 60000;
    const due = ends[kind].minutes.filter((minutes) => left <= minutes);
    return due.length ? Math.min(...due) : null;
  };

  const clock = (at) => new Date(at).toLocaleTimeString([], {hour: "2-digit", minute: "2-digit"});

  const left = (at) => {
    const minutes = Math.round((at - Date.now()) / 60000);
    return minutes > 1 ? `in ${minutes} minutes` : minutes === 1 ? "in 1 minute" : "in less than a minute";
  };

  const words = (kind) => {
    const at = ends[kind].at;
    if (at <= Date.now()) {
      return kind === "walltime" ? `The job's time was over at ${clock(at)}: the session has ended.`
        : `Nobody has used this session: it ended at ${clock(at)}.`;
    }
    return kind === "walltime" ? `Save your work: the job ends at ${clock(at)} (${left(at)}).`
      : `Nobody uses this session, so it ends at ${clock(at)} (${left(at)}). Go on working here to keep it.`;
  };

  const make = () => {
    const box = document.createElement("div");
    const text = document.createElement("span");
    const button = document.createElement("button");
    box.id = "hpc-jupyter-notice";
    box.setAttribute("role", "alert");
    Object.assign(box.style, {
      position: "fixed", top: "0", left: "50%", transform: "translateX(-50%)", zIndex: "2147483647",
      maxWidth: "90vw", padding: "10px 14px", borderRadius: "0 0 6px 6px", font: "15px sans-serif",
      color: "#1b1b1b", background: "#ffd54f", border: "1px solid #8d6e00", boxShadow: "0 2px 8px rgba(0,0,0,.4)",
    });
    button.type = "button";
    button.textContent = "\u00d7";
    button.setAttribute("aria-label", "Close this notice");
    Object.assign(button.style, {
      marginLeft: "12px", font: "bold 17px sans-serif", border: "0", background: "transparent", color: "inherit",
      cursor: "pointer",
    });
    button.addEventListener("click", () => { closed[box.dataset.kind] = Number(box.dataset.level); draw(); });
    box.append(text, button);
    return {box, text};
  };

  const draw = () => {
    const due = Object.keys(ends).filter((kind) => level(kind) !== null && level(kind) !== closed[kind])
      .sort((one, other) => ends[one].at - ends[other].at)[0];
    if (!due) {
      if (banner) { banner.box.remove(); }
      shown = "";
      return;
    }
    banner = banner || make();
    banner.box.dataset.kind = due;
    banner.box.dataset.level = String(level(due));
    const text = words(due);
    if (text !== shown) {
      banner.text.textContent = text;
      shown = text;
    }
    if (!banner.box.isConnected) { document.body.append(banner.box); }
  };

  const take = (kind, seconds, minutes) => {
    if (typeof seconds === "number") {
      const at = Date.now() + seconds * 1000;
      // More time than there was: the next warnings are new ones.
      if (ends[kind] && at > ends[kind].at + 60000) { delete closed[kind]; }
      ends[kind] = {at, minutes};
    } else {
      delete ends[kind];
      delete closed[kind];
    }
  };

  const ask = async () => {
    if (asking) { return; }
    asking = true;
    const told = used;
    try {
      const headers = told ? {"X-Hpc-Jupyter-Used": String(Math.round((Date.now() - told) / 1000))} : {};
      const answer = await fetch(ADDRESS, {credentials: "same-origin", cache: "no-store", headers});
      if (answer.ok) {
        const times = await answer.json();
        if (used === told) { used = 0; }
        take("walltime", times.ends_in, times.warn_minutes);
        take("idle", times.idle_in, times.idle_warn_minutes);
      }
    } catch (error) {
      // The server is gone or out of reach; the page's own words tell that, and what is known here still holds.
    } finally {
      asking = false;
      draw();
    }
  };

  const use = () => {
    used = Date.now();
    if (banner && banner.box.isConnected && banner.box.dataset.kind === "idle") { ask(); }
  };

  for (const kind of ["keydown", "pointerdown", "wheel"]) {
    window.addEventListener(kind, use, {capture: true, passive: true});
  }
  document.addEventListener("visibilitychange", () => { if (!document.hidden) { ask(); } });
  setInterval(ask, POLL_MS);
  setInterval(draw, 5000);
  document.addEventListener("DOMContentLoaded", ask);
})();
"""
