"use strict";

// ws: the message encoded once, then `send` for one connection after the other, as its documentation has it.

const http = require("node:http");
const { WebSocketServer } = require("ws");
const drive = require("./loads");

const server = http.createServer();
const sockets = new WebSocketServer({ server, path: "/ws" });

drive(server, (data) => {
  const text = JSON.stringify(data);
  for (const client of sockets.clients) client.send(text);
});
