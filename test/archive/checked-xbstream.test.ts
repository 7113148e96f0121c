import { describe, expect, test } from '@jest/globals'

import { checkedXbstream, type TarSummary } from '../../lib/archive/index.ts'
import { endChunk, payloadChunk } from './xbstream-writer.ts'

const STREAM = Buffer.concat([
  payloadChunk('./shop/orders.ibd', 0, Buffer.alloc(5000, 'a')),
  payloadChunk('ib_logfile0', 0, Buffer.alloc(100, 'r')),
  payloadChunk('./shop/orders.ibd', 5000, Buffer.alloc(70, 'b')),
  endChunk('./shop/orders.ibd'),
  endChunk('ib_logfile0'),
  payloadChunk('xtrabackup_info', 0, Buffer.from('tool_name = x\n')),
  endChunk('xtrabackup_info'),
])

async function* inPieces(bytes: Buffer, pieceBytes: number): AsyncGenerator<Buffer> {
  for (let at = 0; at < bytes.length; at += pieceBytes) yield bytes.subarray(at, at + pieceBytes)
}

const passed = async (
  source: AsyncIterable<Buffer>,
  signal?: AbortSignal,
): Promise<{ bytes: Buffer; summary: TarSummary | undefined; members: [string, number][]; redo: number }> => {
  const chunks: Buffer[] = []
  const members: [string, number][] = []
  let summary: TarSummary | undefined
  let redo = 0
  for await (const chunk of checkedXbstream(source, {
    signal,
    beforeEnd: async (found) => {
      summary = found
    },
    onMember: (path, sizeBytes) => members.push([path, sizeBytes]),
    onData: (path, bytes) => {
      if (path === 'ib_logfile0') redo += bytes
    },
  }))
    chunks.push(chunk)
  return { bytes: Buffer.concat(chunks), summary, members, redo }
}

describe('an xbstream', () => {
  test.each([1, 13, 4096, STREAM.length])(
    'goes through unchanged in pieces of %d bytes, and is known by then',
    async (pieceBytes) => {
      const { bytes, summary, members, redo } = await passed(inPieces(STREAM, pieceBytes))

      expect(bytes.equals(STREAM)).toBe(true)
      expect(summary).toMatchObject({ members: 3, archiveBytes: STREAM.length, contentBytes: 5184, padded: [] })
      expect(summary?.metadata).toMatchObject({
        info: 'xtrabackup_info',
        redoLog: 'ib_logfile0',
        checkpoints: undefined,
      })
      expect(members).toEqual([
        ['shop/orders.ibd', 5070],
        ['ib_logfile0', 100],
        ['xtrabackup_info', 14],
      ])
      expect(redo).toBe(100)
    },
  )

  test('that was cut anywhere is refused, and its end is never reached', async () => {
    for (let length = 0; length < STREAM.length; length += 1) {
      const ended = await passed(inPieces(STREAM.subarray(0, length), 512)).then(
        ({ summary }) => summary?.metadata.info,
        (error: { code: string }) => error.code,
      )
      // Between two chunks of which the last one closes a file, an xbstream shows no cut: there the metadata tells.
      expect(['XBSTREAM_TRUNCATED', 'XBSTREAM_FILE_OPEN', undefined]).toContain(ended)
    }
  })

  test('with a flipped bit in a body is refused before the chunk that shows it has gone on', async () => {
    const flipped = Buffer.from(STREAM)
    flipped[100] = 0x62

    await expect(passed(inPieces(flipped, STREAM.length))).rejects.toMatchObject({ code: 'XBSTREAM_CHECKSUM' })
  })

  test('whose job is stopped does not end', async () => {
    const controller = new AbortController()
    controller.abort(new Error('stopped'))

    await expect(passed(inPieces(STREAM, 100), controller.signal)).rejects.toThrow('stopped')
  })
})
