// Reads what carla_rl/report/pack.py packs: base64, deflate, header, varints, differences.
async function unpack(text) {
  const bytes = Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("deflate"));
  const data = new Uint8Array(await new Response(stream).arrayBuffer());
  const length = data[0] + data[1] * 256 + data[2] * 65536 + data[3] * 16777216;
  const header = JSON.parse(new TextDecoder().decode(data.subarray(4, 4 + length)));
  const found = {};
  let at = 4 + length;
  for (const part of header) {
    const rows = part.shape[0], columns = part.shape.length > 1 ? part.shape[1] : 1;
    const values = new Float64Array(rows * columns);
    for (let i = 0; i < values.length; i++) {
      let number = 0, scale = 1, byte;
      do { byte = data[at++]; number += (byte & 127) * scale; scale *= 128; } while (byte > 127);
      values[i] = number % 2 ? -(number + 1) / 2 : number / 2;
    }
    for (let n = 0; n < part.across; n++)
      for (let r = 0; r < rows; r++) for (let c = 1; c < columns; c++) values[r * columns + c] += values[r * columns + c - 1];
    for (let n = 0; n < part.down; n++)
      for (let i = columns; i < values.length; i++) values[i] += values[i - columns];
    if (part.grain !== 1) for (let i = 0; i < values.length; i++) values[i] *= part.grain;
    found[part.name] = { values, rows, columns };
  }
  return found;
}
