"use strict";
// The viewer of a case: both images in one frame, with zoom and a change between the two.
//   space: the other image   f: change by itself   + - 0: zoom   b: boxes   n p: next, previous case
//   arrows: move   Escape: close
(function () {
  const viewer = document.getElementById("viewer");
  if (!viewer) return;
  const frame = viewer.querySelector(".frame"), stage = viewer.querySelector(".stage");
  const title = viewer.querySelector(".title"), get = (name) => viewer.querySelector(`[data-do="${name}"]`);
  const MILLISECONDS = 700;
  let images = [], shown = 0, zoom = 1, timer = 0, opener = null, article = null;

  function show(index) {
    shown = index;
    images.forEach((image, number) => image.classList.toggle("behind", number !== index));
    title.textContent = `${article.querySelector("h3").firstChild.textContent.trim()}: ${images[index].dataset.title}`;
    images.forEach((image, number) => get(`image-${number}`).setAttribute("aria-pressed", number === index));
  }
  function setZoom(value) {
    zoom = Math.min(6, Math.max(1, value));
    const x = (frame.scrollLeft + frame.clientWidth / 2) / frame.scrollWidth;
    const y = (frame.scrollTop + frame.clientHeight / 2) / frame.scrollHeight;
    stage.style.setProperty("--zoom", zoom);
    frame.scrollTo(x * frame.scrollWidth - frame.clientWidth / 2, y * frame.scrollHeight - frame.clientHeight / 2);
    get("out").disabled = zoom === 1;
    get("in").disabled = zoom === 6;
  }
  function flicker(isOn) {
    clearInterval(timer);
    timer = isOn ? setInterval(() => show(1 - shown), MILLISECONDS) : 0;
    get("flicker").setAttribute("aria-pressed", isOn);
  }
  function open(button) {
    opener = button;
    article = button.closest("article");
    images = Array.from(article.querySelectorAll(".overlay"), (image, index) => {
      const copy = image.cloneNode(true);
      copy.dataset.title = article.querySelectorAll("figcaption b")[index].textContent;
      return copy;
    });
    stage.replaceChildren(...images);
    if (!viewer.open) viewer.showModal();
    flicker(false);
    setZoom(1);
    show(Array.from(article.querySelectorAll("button.enlarge")).indexOf(button));
    frame.focus();
  }
  function step(by) {
    const articles = Array.from(document.querySelectorAll("article.case"))
      .filter((item) => !item.hidden && item.querySelector("button.enlarge"));
    const next = articles[articles.indexOf(article) + by];
    if (next) open(next.querySelectorAll("button.enlarge")[shown]);
  }
  const actions = {
    "image-0": () => { flicker(false); show(0); },
    "image-1": () => { flicker(false); show(1); },
    flicker: () => flicker(!timer),
    in: () => setZoom(zoom * 1.5),
    out: () => setZoom(zoom / 1.5),
    boxes: () => document.getElementById("boxes").click(),
    previous: () => step(-1),
    next: () => step(1),
    close: () => { viewer.close(); opener.focus(); },
  };
  const keys = { " ": () => { flicker(false); show(1 - shown); }, f: actions.flicker, "+": actions.in,
    "=": actions.in, "-": actions.out, 0: () => setZoom(1), b: actions.boxes, n: actions.next, p: actions.previous };
  for (const button of document.querySelectorAll("button.enlarge")) {
    button.addEventListener("click", () => open(button));
  }
  for (const button of viewer.querySelectorAll("[data-do]")) {
    button.addEventListener("click", actions[button.dataset.do]);
  }
  viewer.addEventListener("keydown", (event) => {
    const isButton = event.target.matches("button") && event.key === " ";
    const action = event.ctrlKey || event.metaKey || event.altKey || isButton ? null : keys[event.key];
    if (!action) return;
    event.preventDefault();
    action();
  });
  viewer.addEventListener("close", () => { flicker(false); opener.focus(); });
  document.getElementById("boxes").addEventListener("change", (event) =>
    get("boxes").setAttribute("aria-pressed", event.target.checked));
})();
