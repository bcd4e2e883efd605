/** SHA-1, FIPS 180-4 §6.1: the opening handshake asks for it, RFC 6455 §4.2.2. Not for secrets. */
export function sha1(message: Uint8Array): Uint8Array {
  const blocks = ((message.length + 8) >> 6) + 1;
  const words = new Int32Array(blocks * 16);
  for (let i = 0; i < message.length; i++) words[i >> 2]! |= message[i]! << (24 - (i & 3) * 8);
  words[message.length >> 2]! |= 0x80 << (24 - (message.length & 3) * 8);
  words[words.length - 2] = Math.floor(message.length / 0x2000_0000);
  words[words.length - 1] = message.length << 3;

  const hash = Int32Array.of(0x67452301, 0xefcdab89 | 0, 0x98badcfe | 0, 0x10325476, 0xc3d2e1f0 | 0);
  const schedule = new Int32Array(80);
  for (let block = 0; block < words.length; block += 16) {
    let a = hash[0]!;
    let b = hash[1]!;
    let c = hash[2]!;
    let d = hash[3]!;
    let e = hash[4]!;
    for (let t = 0; t < 80; t++) {
      if (t < 16) {
        schedule[t] = words[block + t]!;
      } else {
        const mixed = schedule[t - 3]! ^ schedule[t - 8]! ^ schedule[t - 14]! ^ schedule[t - 16]!;
        schedule[t] = (mixed << 1) | (mixed >>> 31);
      }
      let chosen: number;
      if (t < 20) chosen = ((b & c) | (~b & d)) + 0x5a827999;
      else if (t < 40) chosen = (b ^ c ^ d) + 0x6ed9eba1;
      else if (t < 60) chosen = ((b & c) | (b & d) | (c & d)) + 0x8f1bbcdc;
      else chosen = (b ^ c ^ d) + 0xca62c1d6;
      const next = (((a << 5) | (a >>> 27)) + chosen + e + schedule[t]!) | 0;
      e = d;
      d = c;
      c = (b << 30) | (b >>> 2);
      b = a;
      a = next;
    }
    hash[0] = hash[0]! + a;
    hash[1] = hash[1]! + b;
    hash[2] = hash[2]! + c;
    hash[3] = hash[3]! + d;
    hash[4] = hash[4]! + e;
  }
  const digest = new Uint8Array(20);
  for (let i = 0; i < 20; i++) digest[i] = hash[i >> 2]! >>> (24 - (i & 3) * 8);
  return digest;
}
