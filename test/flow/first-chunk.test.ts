import { expect, test } from '@jest/globals'

import { withFirstChunk } from '../../lib/flow/index.ts'

const collect = async (source: AsyncIterable<Buffer>): Promise<string> => {
  const chunks: Buffer[] = []
  for await (const chunk of source) chunks.push(chunk)
  return Buffer.concat(chunks).toString()
}

async function* of(...texts: string[]): AsyncGenerator<Buffer> {
  for (const text of texts) yield Buffer.from(text)
}

test('hands the first bytes on with the rest', async () => {
  const source = await withFirstChunk(of('', 'one', 'two'))

  expect(source).toBeDefined()
  expect(await collect(source as AsyncIterable<Buffer>)).toBe('onetwo')
})

test('says so when the source ends without a byte', async () => {
  expect(await withFirstChunk(of('', ''))).toBeUndefined()
})

test('stops the source when its consumer stops before the first pull', async () => {
  let stopped = false
  const source = await withFirstChunk(
    (async function* () {
      try {
        yield Buffer.from('one')
        yield Buffer.from('two')
      } finally {
        stopped = true
      }
    })(),
  )

  await source?.return?.()

  expect(stopped).toBe(true)
})
