import { layerErrors } from '../errors/layer-errors.ts'

/** Records of an extended header: `length key=value\n`, values being bytes (pax(1), "pax Header Block"). */
export function parsePaxRecords(body: Buffer): [string, Buffer][] {
  const records: [string, Buffer][] = []
  for (let at = 0; at < body.length; ) {
    const space = body.indexOf(0x20, at)
    const digits = space < 0 ? '' : body.toString('latin1', at, Math.min(space, at + 20))
    const length = /^\d+$/.test(digits) ? Number(digits) : Number.NaN
    const end = at + length
    const equals = body.indexOf(0x3d, space)
    if (
      Number.isNaN(length) ||
      length < 5 ||
      end > body.length ||
      body[end - 1] !== 0x0a ||
      equals < 0 ||
      equals >= end
    ) {
      // Some writers pad with NULs.
      if (body.subarray(at).every((byte) => byte === 0)) break
      throw layerErrors.error('malformed', {
        message: `The tar is damaged: an extended header has a record at byte ${at} that does not end where it says.`,
      })
    }
    records.push([body.toString('utf8', space + 1, equals), Buffer.from(body.subarray(equals + 1, end - 1))])
    at = end
  }
  return records
}
