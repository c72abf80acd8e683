// Drives SDK clients by orders, in Node and in a page alike. Each order is answered, and all that a client meets is an
// event; python_driver.py speaks the same.

const decoder = new TextDecoder()
const encoder = new TextEncoder()

export function makeDriver ({ Json, Protobuf, websocket, emit }) {
  const clients = {}

  function open (name, options) {
    const note = (event, fields) => emit({ client: name, event, ...fields })
    const encode = (data) => options.protobuf ? encoder.encode(JSON.stringify(data)) : data
    const decode = (data) => options.protobuf ? (data?.length ? JSON.parse(decoder.decode(data)) : null) : data
    const tokens = [...options.tokens]
    const getToken = async () => {
      note('token')
      return tokens.length > 1 ? tokens.shift() : tokens[0]
    }
    const client = new (options.protobuf ? Protobuf : Json)(options.url, {
      websocket: websocket ?? null,
      getToken: tokens.length ? getToken : null,
      minReconnectDelay: options.min_delay * 1000,
      maxReconnectDelay: options.max_delay * 1000,
      maxServerPingDelay: options.ping_delay * 1000,
      timeout: options.timeout * 1000
    })
    const person = (info) => ({
      user: info.user, id: info.client, conn_info: decode(info.connInfo), chan_info: decode(info.chanInfo)
    })
    const publication = (found) => ({
      data: decode(found.data),
      offset: found.offset ?? 0,
      tags: found.tags ?? {},
      user: found.info ? found.info.user : null
    })

    function listen (target, channelOf) {
      target.on('subscribing', (context) => note('subscribing', { channel: channelOf(context), code: context.code ?? 0 }))
      target.on('subscribed', (context) => note('subscribed', {
        channel: channelOf(context),
        was_recovering: context.wasRecovering,
        recovered: context.recovered,
        offset: context.streamPosition ? context.streamPosition.offset : 0,
        epoch: context.streamPosition ? context.streamPosition.epoch : ''
      }))
      target.on('unsubscribed', (context) => note('unsubscribed', { channel: channelOf(context), code: context.code ?? 0 }))
      target.on('publication', (context) => note('publication', { channel: channelOf(context), ...publication(context) }))
      target.on('join', (context) => note('join', { channel: channelOf(context), ...person(context.info) }))
      target.on('leave', (context) => note('leave', { channel: channelOf(context), ...person(context.info) }))
      target.on('error', (context) => note('error', { code: context.error.code, message: context.error.message }))
    }

    for (const event of ['connecting', 'disconnected']) {
      client.on(event, ({ code, reason }) => note(event, { code, reason }))
    }
    client.on('connected', (context) => note('connected', { id: context.client, data: decode(context.data) }))
    client.on('message', ({ data }) => note('message', { data: decode(data) }))
    listen(client, (context) => context.channel)

    return {
      connect: () => client.connect(),
      disconnect: () => client.disconnect(),
      subscribe: ({ channel, tokens: granted }) => {
        const getToken = granted ? async () => (note('subscription token', { channel }), granted.shift() ?? '') : null
        const subscription = client.getSubscription(channel) ?? client.newSubscription(channel, {
          getToken, minResubscribeDelay: options.min_delay * 1000, maxResubscribeDelay: options.max_delay * 1000
        })
        if (subscription.listenerCount('publication') === 0) listen(subscription, () => channel)
        subscription.subscribe()
      },
      unsubscribe: ({ channel }) => client.getSubscription(channel).unsubscribe(),
      publish: async ({ channel, data }) => void await client.publish(channel, encode(data)),
      history: async ({ channel, ...asked }) => {
        const found = await client.history(channel, asked)
        return { offset: found.offset, epoch: found.epoch, publications: found.publications.map(publication) }
      },
      presence: async ({ channel }) => Object.values((await client.presence(channel)).clients).map(person),
      presence_stats: async ({ channel }) => {
        const found = await client.presenceStats(channel)
        return { clients: found.numClients, users: found.numUsers }
      },
      rpc: async ({ method, data }) => decode((await client.rpc(method, encode(data))).data)
    }
  }

  return async function obey ({ id, client, order, fields }) {
    try {
      let result
      if (order === 'open') clients[client] = open(client, fields)
      else result = await clients[client][order](fields)
      emit({ answer: id, result: result ?? null })
    } catch (error) {
      emit({ answer: id, error: { code: error.code ?? 0, message: String(error.message ?? error) } })
    }
  }
}
