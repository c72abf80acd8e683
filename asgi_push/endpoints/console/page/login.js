/** The login: the key goes to the server once, and what stands for it comes back in a cookie that no script can read. */
import { $ } from "./dom.js";

let waiting = 0;

function say(text) {
  $("answer").textContent = text;
}

function countDown(seconds) {
  clearInterval(waiting);
  $("enter").disabled = true;
  const until = performance.now() + seconds * 1000;
  const tick = () => {
    const left = Math.ceil((until - performance.now()) / 1000);
    say(left > 0 ? `Too many tries. Wait ${left} s.` : "");
    if (left > 0) return;
    clearInterval(waiting);
    $("enter").disabled = false;
  };
  tick();
  waiting = setInterval(tick, 250);
}

$("login").addEventListener("submit", async (event) => {
  event.preventDefault();
  $("enter").disabled = true;
  try {
    const body = JSON.stringify({ key: $("key").value });
    const answer = await fetch("console/login", { method: "POST", headers: { "content-type": "application/json" }, body });
    if (answer.ok) return location.reload();
    if (answer.status === 429) return countDown(Number(answer.headers.get("retry-after")));
    say(answer.status === 401 ? "This is not the api_key." : `The server refused: ${await answer.text()}`);
    $("key").select();
  } catch {
    say("The server cannot be reached.");
  }
  $("enter").disabled = false;
});
