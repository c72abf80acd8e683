"use strict";

// Socket.IO: an event to everybody, on its adapter in memory.

const http = require("node:http");
const { Server } = require("socket.io");
const drive = require("./loads");

const server = http.createServer();
// A ping cannot be off, and would be in the stream: one an hour comes after the end.
const io = new Server(server, { transports: ["websocket"], pingInterval: 3600 * 1000 });

drive(server, (data) => io.emit("message", data));
