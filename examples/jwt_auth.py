# SECRET=$(openssl rand -hex 32) uvicorn examples.jwt_auth:app
"""Users proven by a JSON Web Token, which travels as a subprotocol: no log shows that."""

import os
import time
from secrets import compare_digest

import jwt
from fastapi import FastAPI, HTTPException
from fastapi.responses import HTMLResponse, PlainTextResponse

from asgi_push import PushMiddleware, Session

SECRET = os.environ["SECRET"]
PASSWORDS = {"alice": b"rabbit", "bob": b"builder"}
LIFETIME = 3600  # seconds; the session is closed then too

PAGE = """<!doctype html>
<input id="user" placeholder="user"> <input id="password" placeholder="password">
<button id="login">log in</button> <ul id="log"></ul>
<script>
  const field = (id) => document.getElementById(id)
  const log = (text) => field('log').appendChild(document.createElement('li')).textContent = text

  field('login').onclick = async () => {
    const [user, password] = [field('user').value, field('password').value]
    const answer = await fetch('/login', {
      method: 'POST', body: JSON.stringify({ user, password }),
      headers: { 'Content-Type': 'application/json' }
    })
    if (!answer.ok) return log('wrong user or password')
    const token = await answer.text()
    // A browser wants one of its subprotocols back: the first one, never the token.
    const address = location.origin.replace('http', 'ws') + '/ws'
    const socket = new WebSocket(address, ['push', 'bearer.' + token])
    socket.onmessage = (event) => log(event.data)
    socket.onclose = (event) => log(`close: ${event.code} ${event.reason}`)
  }
</script>"""


async def welcome(session: Session) -> None:
    await session.send(f"you are {session.user}")


app = FastAPI()
app.add_middleware(PushMiddleware, token_secret=SECRET, on_connect=welcome)


@app.get("/")
async def page() -> HTMLResponse:
    return HTMLResponse(PAGE)


@app.post("/login")
async def login(credentials: dict[str, str]) -> PlainTextResponse:
    user, password = credentials["user"], credentials["password"]
    if user not in PASSWORDS or not compare_digest(PASSWORDS[user], password.encode()):
        raise HTTPException(401)
    return PlainTextResponse(jwt.encode({"sub": user, "exp": time.time() + LIFETIME}, SECRET))
