/** Three more users, to see whom a push reaches. */
import { Line } from "./client.js";
import { $, element, plural } from "./dom.js";
import { address } from "./modes.js";
import { greeted, lose, parsed } from "./sessions.js";

const USERS = ["12", "13", "14"];

function neighbour(user) {
  const last = element("p", { className: "last", text: "Nothing yet" });
  const count = element("span", { className: "count", text: "0 messages" });
  const state = element("span", { className: "dot" });
  const card = element("li", {}, element("p", { className: "who" }, state, element("b", { text: user }), count), last);
  const line = new Line(address(user));
  let received = 0;
  line.addEventListener("state", ({ detail }) => {
    state.dataset.state = detail.state;
    state.title = detail.state;
    if (detail.state !== "open") lose(line);
  });
  line.addEventListener("message", ({ detail }) => {
    if (greeted(detail, line)) return;
    count.textContent = plural((received += 1), "message");
    last.textContent = parsed(detail).message ?? detail;
    card.animate([{ borderColor: "var(--accent)" }, {}], { duration: 900 });
  });
  card.dataset.user = user;
  return { card, line };
}

const neighbours = USERS.map(neighbour);

$("neighbours-toggle").addEventListener("click", () => {
  const opening = $("neighbours").hidden;
  for (const { line } of neighbours) opening ? line.open() : line.close();
  $("neighbours").hidden = !opening;
  $("neighbours-toggle").textContent = `${opening ? "Close" : "Open"} users 12, 13 and 14`;
  $("neighbours-toggle").setAttribute("aria-expanded", opening);
});

$("neighbours").append(...neighbours.map(({ card }) => card));
