/** The code of what the page does now: the application's, and the very file that this page listens with. */
import { $, element } from "./dom.js";

const TOKEN = /(\/\*[\s\S]*?\*\/|\/\/.*|#(?= ).*)|("(?:\\.|[^"\\\n])*"|`[^`]*`)|\b(import|from|export|class|extends|async|await|def|const|let|function|return|new|if|else|for|of|in|this|static)\b/g;

const application = (mode) => `from fastapi import FastAPI

from asgi_push import Push, PushMiddleware

push = Push(${mode === "stream" ? "sse=True, " : ""}path="/websocket/{user_id}")
app = FastAPI()
app.add_middleware(PushMiddleware, push=push)


@app.post("/orders/{order_id}/ship")
async def ship(order_id: int):
    # What you push reaches each page of user 11.
    await push.send_to_user("11", {"message": "Your order has shipped"})
`;

function highlighted(source) {
  const parts = [];
  let end = 0;
  for (const found of source.matchAll(TOKEN)) {
    const [text, comment, string] = found;
    const className = comment ? "comment" : string ? "string" : "keyword";
    parts.push(source.slice(end, found.index), element("span", { className, text }));
    end = found.index + text.length;
  }
  return [...parts, source.slice(end)];
}

export async function showCode(name, { file }) {
  $("application-code").replaceChildren(...highlighted(application(name)));
  $("page-file").textContent = file;
  const source = await (await fetch(`/page/${file}`)).text();
  $("page-code").replaceChildren(...highlighted(source));
}
