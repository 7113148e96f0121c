import { expect, test } from '@jest/globals'

import { createLogger, type LogDestination } from '../../lib/log/index.ts'
import { spellToken } from '../../lib/protocol/index.ts'

const TOKEN = spellToken(Buffer.alloc(32, 9))

const logged = async (log: (logger: Awaited<ReturnType<typeof createLogger>>) => void): Promise<string> => {
  let text = ''
  const destination = {
    write: (line: string) => {
      text += line
    },
    close: async () => {},
  } as unknown as LogDestination
  log(await createLogger({ level: 'trace', name: 'test', destination }))
  return text
}

test.each<[string, Parameters<typeof logged>[0]]>([
  ['under its own name', (log) => log.info({ 'agent-token': TOKEN, token: TOKEN }, 'x')],
  ['under any other name, however deep', (log) => log.info({ a: { b: { c: [{ d: `=${TOKEN}=` }] } } }, 'x')],
  ['in a message', (log) => log.warn(`there is no instance "${TOKEN}"`)],
  ['in an error', (log) => log.error({ err: new Error(`bug: ${TOKEN}`) }, 'x')],
  ['in what a child logger carries', (log) => log.child({ peer: TOKEN }).info('x')],
  ['cut short', (log) => log.info(TOKEN.slice(0, 30))],
])('a token is in no line, %s', async (_, log) => {
  const text = await logged(log)

  expect(text).toContain('redacted')
  expect(text).not.toContain(TOKEN.slice(4, 16))
  expect(() => JSON.parse(text)).not.toThrow()
})

test('other words stay, also the beginning of a token', async () => {
  expect(await logged((log) => log.info({ tokenName: 'backup1' }, 'a token begins with kvb_'))).toMatch(
    /"tokenName":"backup1","msg":"a token begins with kvb_"/,
  )
})
