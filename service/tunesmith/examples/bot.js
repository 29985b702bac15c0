// A bot in Node, with the package `zeromq` (version 6): node bot.js [REQUESTS [EVENTS [SYMBOL [TRUSTED]]]].
// It misses nothing and repeats nothing. TRUSTED is a file of public keys (`tunesmith keys signing list --trusted`):
// the bot then heeds nothing that none of them has signed.
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
  const curve = key ? { curvePublicKey: key.public, curveSecretKey: key.secret, curveServerKey: key.server } : {};
  const asking = new Request(curve);
  const hearing = new Subscriber(curve);
  asking.connect(requests);
  hearing.connect(events);
  hearing.subscribe(`pkg/${symbol}/`);
  const last = new Map(); // the newest `seq` by topic
  let epoch; // of the database: one that was restored counts anew
  for await (const [topicFrame, frame, signature] of hearing) {
    const topic = topicFrame.toString();
    let news = [[frame, signature]];
    const heard = JSON.parse(frame.toString());
    if (heard.epoch !== epoch && (keys === undefined || isSigned(frame, signature, keys))) {
      epoch = heard.epoch;
      last.clear();
    }
    const seen = last.get(topic);
    if (seen !== undefined && heard.prev > seen) { // some were lost on the way: ask for them
      const data = { topics: [topic], after: seen };
      await asking.send(JSON.stringify({ v: 1, type: "events.replay", id: `after-${seen}`, data }));
      const [body] = await asking.receive();
      news = JSON.parse(body.toString()).data.events.map(({ event, text, signature: signed }) =>
        [Buffer.from(text ?? JSON.stringify(event)), signed && Buffer.from(signed, "base64")]);
    }
    for (const [text, signed] of news) {
      const event = JSON.parse(text.toString());
      if (keys !== undefined && !isSigned(text, signed, keys)) {
        console.log("refused", event.type);
      } else if (event.seq > (last.get(topic) ?? 0)) {
        last.set(topic, event.seq);
        console.log(event.type, JSON.stringify(event.data.params ?? event.data));
      }
    }
  }
}

main(...process.argv.slice(2)).catch((error) => {
  console.error(error);
  process.exit(1);
});
