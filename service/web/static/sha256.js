// A worker: the SHA-256 of a file that the page sends it, read in blocks, so that memory does not grow with it.
// crypto.subtle takes whole buffers only, and is missing where a page comes by plain http. FIPS 180-4, section 6.2.
"use strict";
const BLOCK_BYTES = 4 * 1024 * 1024;
const primes = [];
for (let number = 2; primes.length < 64; number += 1) if (primes.every((prime) => number % prime)) primes.push(number);
const fraction = (root) => ((root - Math.floor(root)) * 2 ** 32) | 0;
const K = Int32Array.from(primes, (prime) => fraction(Math.cbrt(prime)));
const state = Int32Array.from(primes.slice(0, 8), (prime) => fraction(Math.sqrt(prime)));
const words = new Int32Array(64);

function take(view, start, end) { // 64 bytes at a time
  for (let at = start; at < end; at += 64) {
    for (let i = 0; i < 16; i += 1) words[i] = view.getInt32(at + 4 * i);
    for (let i = 16; i < 64; i += 1) {
      const x = words[i - 15], y = words[i - 2];
      const s0 = ((x >>> 7) | (x << 25)) ^ ((x >>> 18) | (x << 14)) ^ (x >>> 3);
      const s1 = ((y >>> 17) | (y << 15)) ^ ((y >>> 19) | (y << 13)) ^ (y >>> 10);
      words[i] = (words[i - 16] + s0 + words[i - 7] + s1) | 0;
    }
    let a = state[0], b = state[1], c = state[2], d = state[3], e = state[4], f = state[5], g = state[6], h = state[7];
    for (let i = 0; i < 64; i += 1) {
      const S1 = ((e >>> 6) | (e << 26)) ^ ((e >>> 11) | (e << 21)) ^ ((e >>> 25) | (e << 7));
      const t1 = (h + S1 + ((e & f) ^ (~e & g)) + K[i] + words[i]) | 0;
      const S0 = ((a >>> 2) | (a << 30)) ^ ((a >>> 13) | (a << 19)) ^ ((a >>> 22) | (a << 10));
      const t2 = (S0 + ((a & b) ^ (a & c) ^ (b & c))) | 0;
      h = g; g = f; f = e; e = (d + t1) | 0; d = c; c = b; b = a; a = (t1 + t2) | 0;
    }
    state[0] += a; state[1] += b; state[2] += c; state[3] += d; state[4] += e; state[5] += f; state[6] += g; state[7] += h;
  }
}

function finish(rest, size) { // the last bytes, a one, zeros, and the length in bits
  const last = new Uint8Array(rest.length < 56 ? 64 : 128);
  last.set(rest);
  last[rest.length] = 0x80;
  const view = new DataView(last.buffer);
  view.setUint32(last.length - 8, Math.floor(size / 2 ** 29));
  view.setUint32(last.length - 4, (size * 8) % 2 ** 32);
  take(view, 0, last.length);
  return [...state].map((word) => (word >>> 0).toString(16).padStart(8, "0")).join("");
}

onmessage = async ({ data: file }) => {
  try {
    let rest = new Uint8Array(0);
    for (let at = 0; at < file.size; at += BLOCK_BYTES) { // a block is a multiple of 64 bytes
      const block = await file.slice(at, at + BLOCK_BYTES).arrayBuffer();
      const whole = block.byteLength - (block.byteLength % 64);
      take(new DataView(block), 0, whole);
      rest = new Uint8Array(block, whole);
      postMessage({ done: at + block.byteLength });
    }
    postMessage({ sha256: finish(rest, file.size) });
  } catch (error) {
    postMessage({ error: String(error.message || error) });
  }
};
