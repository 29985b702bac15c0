// A bot in Node, with the package `zeromq` (version 6): node bot.js [REQUESTS [EVENTS [SYMBOL [TRUSTED]]]].
// It misses nothing and repeats nothing, and prints packages of every grade: one that trades looks at `grade` first.
// TRUSTED is a file of public keys (`tunesmith keys signing list --trusted`):
// the bot then heeds nothing that none of them has signed. TUNESMITH_KEY names the key file, for a daemon that asks.
"use strict";
const { readFileSync } = require("fs");
const { Request, Subscriber } = require("zeromq");
const { readKeys, isSigned } = require("./signatures.js");

async function main(
  requests = "tcp://127.0.0.1:5555", events = "tcp://127.0.0.1:5556", symbol = "BTC/USDT", trusted = undefined,
) {
  const keys = trusted === undefined ? undefined : readKeys(trusted);
  const file = process.env.TUNESMITH_KEY;
  const key = file ? JSON.parse(readFileSync(file, "utf8")) : null;
  const options = { linger: 0, reconnectMaxInterval: 5000 };
  const curve = { curvePublicKey: key?.public, curveSecretKey: key?.secret, curveServerKey: key?.server };
  if (key) Object.assign(options, curve);
  const asking = new Request({ ...options, relaxed: true, correlate: true, receiveTimeout: 5000 });
  const hearing = new Subscriber(options);
  watch(hearing, key);
  asking.connect(requests);
  hearing.connect(events);
  // a symbol without a slash begins others: ETH and ETH/USDT; what it alone hears has one slash more
  hearing.subscribe(symbol.includes("/") ? `pkg/${symbol}/` : `pkg/${symbol}//`);
  const last = new Map(); // the newest `seq` by topic; another epoch, another database, counts anew
  for await (const [topicFrame, frame, signature] of hearing) {
    const topic = topicFrame.toString();
    const heard = believed(frame, signature, keys);
    if (heard === undefined) continue;
    const place = `${topic} ${heard.epoch}`;
    let news = [heard];
    if (last.has(place) && heard.prev > last.get(place)) { // some were lost on the way: ask for them
      news = (await replay(asking, topic, last.get(place))).map(({ event, text, signature: signed }) =>
        believed(Buffer.from(text ?? JSON.stringify(event)), signed && Buffer.from(signed, "base64"), keys));
    }
    for (const event of news) {
      if (event !== undefined && event.seq > (last.get(place) ?? 0)) {
        last.set(place, event.seq);
        console.log(event.type, JSON.stringify(event.data.params ?? event.data));
      }
    }
  }
}

// The event, or nothing for one that must not be heeded.
function believed(frame, signature, keys) {
  let event = {};
  try {
    event = Object(JSON.parse(frame.toString()));
  } catch { /* no JSON is no event, and nobody has signed it */ }
  if (keys === undefined || isSigned(frame, signature, keys)) return event;
  console.log("refused", event.type);
  return undefined;
}

// Asked again under the same id until it is answered: a request is lost when the daemon ends.
async function replay(asking, topic, after) {
  const question = { v: 1, type: "events.replay", id: `after-${after}`, data: { topics: [topic], after } };
  for (;;) {
    try {
      await asking.send(JSON.stringify(question));
      const [body] = await asking.receive();
      const reply = JSON.parse(body.toString());
      if (reply.ok) return reply.data.events;
      if (!reply.error.retryable) throw new Error(reply.error.detail);
      await new Promise((done) => setTimeout(done, reply.error.retry_after_ms ?? 1000));
    } catch (error) {
      if (error.code !== "EAGAIN") throw error;
    }
  }
}

// Who is not let in hears nothing of it; the socket's monitor does. A key of another daemon cannot be told from one
// that is on its way up or down: the handshake ends without a word, and is tried again.
function watch(socket, key) {
  let broken = 0;
  socket.events.on("handshake", () => { broken = 0; });
  socket.events.on("handshake:error:auth", () =>
    end(`the daemon does not let ${key?.name} in: the key is revoked or unknown`));
  socket.events.on("handshake:error:protocol", () =>
    end(key ? "the daemon takes no keys" : "the daemon asks for a key: name its file by TUNESMITH_KEY"));
  socket.events.on("handshake:error:other", () => {
    broken += 1;
    if (key && broken === 10) console.error(`no handshake succeeds: is the key ${key.name} of another daemon?`);
  });
}

function end(why) {
  console.error(why);
  process.exit(1);
}

main(...process.argv.slice(2)).catch((error) => {
  console.error(error);
  process.exit(1);
});
