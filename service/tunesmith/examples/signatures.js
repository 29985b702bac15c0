// Ed25519 signatures of events, with Node's own crypto.
"use strict";
const crypto = require("node:crypto");
const fs = require("node:fs");

// Keyid → public key, of a file that `tunesmith keys signing list --trusted` prints; a retired key is left out.
function readKeys(file) {
  const lines = fs.readFileSync(file, "utf8").split("\n").map((line) => line.split("#")[0].trim().split(/\s+/));
  return new Map(lines.filter((words) => words.length === 2).map(([keyid, key]) => {
    const x = Buffer.from(key, "base64").toString("base64url");
    return [keyid, crypto.createPublicKey({ key: { kty: "OKP", crv: "Ed25519", x }, format: "jwk" })];
  }));
}

// Whether a trusted key has signed exactly these bytes.
function isSigned(frame, signature, keys) {
  try {
    const key = keys.get(JSON.parse(frame.toString()).keyid);
    return key !== undefined && signature !== undefined && crypto.verify(null, frame, key, signature);
  } catch { // it is no JSON, or no object
    return false;
  }
}

module.exports = { readKeys, isSigned };
