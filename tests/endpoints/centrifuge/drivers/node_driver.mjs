// Orders come as lines of JSON, events and answers go as lines of JSON.

import { createInterface } from 'node:readline'

import { Centrifuge as Json } from 'centrifuge'
import { Centrifuge as Protobuf } from 'centrifuge/build/protobuf'
import WebSocket from 'ws'

import { makeDriver } from './driver.mjs'

const emit = (message) => process.stdout.write(JSON.stringify(message) + '\n')
const obey = makeDriver({ Json, Protobuf, websocket: WebSocket, emit })
createInterface({ input: process.stdin }).on('line', (line) => obey(JSON.parse(line))).on('close', () => process.exit(0))
