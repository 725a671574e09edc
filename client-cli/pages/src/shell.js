// Only improves: every link and form works without this file. It talks to its own host and to nobody else.
(() => {
  'use strict';
  const head = { 'X-Stafett': 'shell' };
  // Pages may begin below a path of their host's choosing: this file lies where they begin.
  const base = new URL('.', document.currentScript.src).pathname.replace(/\/$/, '');
  const trusted = window.trustedTypes
    ? trustedTypes.createPolicy('stafett', { createHTML: (text) => text })
    : { createHTML: (text) => text };

  // Where a form was refused, the list of what is wrong is read first.
  const wrong = document.getElementById('wrong');
  if (wrong) wrong.focus();

  // Drafts: kept 400 ms after the last key, and when the page goes away. Secrets and files never.
  const typed = new Set();
  const fieldsOf = (form) => {
    const data = new URLSearchParams();
    for (const field of form.elements) {
      const secret = field.type === 'password' || field.type === 'file' || field.type === 'hidden';
      if (!field.name || secret || ((field.type === 'radio' || field.type === 'checkbox') && !field.checked)) continue;
      data.append(field.name, field.value);
    }
    return data;
  };
  const keep = async (form, leaving) => {
    typed.delete(form);
    const body = fieldsOf(form);
    body.append('draft-of', form.getAttribute('action'));
    try {
      const reply = await fetch(`${base}/draft`, { method: 'POST', body, headers: head, keepalive: leaving });
      const line = form.querySelector('.saved');
      // The host answers only after it has written: the line says what is so.
      if (reply.ok && line) line.textContent = await reply.text();
    } catch {
      typed.add(form);
    }
  };
  let timer;
  document.addEventListener('input', (event) => {
    const form = event.target.form;
    if (!form || !form.hasAttribute('data-draft')) return;
    typed.add(form);
    clearTimeout(timer);
    timer = setTimeout(() => typed.forEach((one) => keep(one, false)), 400);
  });
  const leave = () => typed.forEach((one) => keep(one, true));
  document.addEventListener('visibilitychange', () => document.hidden && leave());
  addEventListener('pagehide', leave);
  document.addEventListener('submit', (event) => typed.delete(event.target));

  // Live: the host says when something has come; the open page is fetched anew and its changed parts are put in place.
  const swap = (old, fresh) => {
    if (old.isEqualNode(fresh)) return;
    const alike = old.nodeType === fresh.nodeType && old.nodeName === fresh.nodeName && (old.id || '') === (fresh.id || '');
    if (!alike) return void old.replaceWith(fresh.cloneNode(true));
    if (old.nodeType !== Node.ELEMENT_NODE) return void (old.nodeValue = fresh.nodeValue);
    for (const { name } of [...old.attributes]) if (!fresh.hasAttribute(name) && name !== 'open') old.removeAttribute(name);
    for (const { name, value } of [...fresh.attributes]) if (old.getAttribute(name) !== value) old.setAttribute(name, value);
    const next = [...fresh.childNodes];
    next.forEach((node, at) => (old.childNodes[at] ? swap(old.childNodes[at], node) : old.append(node.cloneNode(true))));
    while (old.childNodes.length > next.length) old.lastChild.remove();
  };
  const again = async () => {
    const reply = await fetch(location.href, { headers: head });
    // Locked meanwhile: what was shown goes from the screen.
    if (reply.redirected) return void location.replace(reply.url);
    if (!reply.ok) return;
    const fresh = new DOMParser().parseFromString(trusted.createHTML(await reply.text()), 'text/html');
    for (const part of ['main', 'footer.bottom', 'header.top']) {
      const [old, next] = [document.querySelector(part), fresh.querySelector(part)];
      if (old && next) swap(old, next);
    }
  };
  const edited = () => [...document.querySelectorAll('form[data-draft]')].some((form) => typed.has(form) || form.contains(document.activeElement));
  const news = () => {
    const words = document.body.dataset.news;
    if (!edited()) return void again();
    if (document.querySelector('.news')) return;
    const line = document.createElement('div');
    line.className = 'news';
    line.setAttribute('role', 'status');
    const press = document.createElement('button');
    press.type = 'button';
    press.textContent = words;
    press.addEventListener('click', () => { line.remove(); leave(); again(); });
    line.append(press);
    document.querySelector('main').append(line);
  };
  if (window.EventSource && document.body.dataset.live) {
    new EventSource(`${base}/live?since=${document.body.dataset.live}`).addEventListener('news', news);
  }
})();
