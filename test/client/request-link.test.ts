import { afterEach, describe, expect, jest, test } from '@jest/globals'

import { readAnswer, readBlock } from '../../lib/client/agent-answer.ts'
import { AgentLink } from '../../lib/client/request-link.ts'
import { accepted, type Caller, ScriptedAgent, type Script } from './scripted-agent.ts'

/** Like the end of a request: then the scripts go on. */
const ASKED = Buffer.from('\n\n')

let agent: ScriptedAgent
let link: AgentLink

afterEach(async () => {
  link.close()
  await agent.close()
})

const linkTo = async (
  script: Script,
  silenceMs = 60_000,
  signal = new AbortController().signal,
  messageMs = 60_000,
): Promise<void> => {
  agent = await ScriptedAgent.start(async (caller) => {
    await caller.request()
    await script(caller)
  })
  link = await AgentLink.open({
    host: agent.host,
    port: agent.port,
    connectMs: 10_000,
    keepHalfOpen: true,
    silenceMs,
    messageMs,
    signal,
  })
  link.send(ASKED)
}

const all = async (): Promise<string> => {
  const chunks: Buffer[] = []
  for await (const chunk of link.rest(Buffer.from('before '))) chunks.push(chunk)
  return Buffer.concat(chunks).toString()
}

test('gives what comes, to the end', async () => {
  await linkTo((caller) => {
    caller.say('one ', 'two')
    caller.socket.end()
  })

  expect(await all()).toBe('before one two')
})

test('says the last words, and returns when the agent has gone', async () => {
  let heard = ''
  await linkTo(async (caller) => {
    heard = await caller.lastWords()
    caller.say('too late to be read')
    caller.socket.end()
  })

  await link.finish(Buffer.from('thank you'))

  expect(heard).toBe('thank you')
})

test('returns as well when the agent breaks off instead', async () => {
  await linkTo(async (caller) => {
    await caller.lastWords()
    caller.socket.resetAndDestroy()
  })

  await expect(link.finish(Buffer.from('thank you'))).resolves.toBeUndefined()
})

describe('a process that was stopped for longer than the agent may be silent', () => {
  /** What a SIGSTOP does to this process: nothing runs for a while, and the system takes what comes. */
  const beStopped = (milliseconds: number): void => {
    Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, milliseconds)
  }

  test('reads what came meanwhile, and blames nobody', async () => {
    const caller = await new Promise<Caller>((resolve) => void linkTo(resolve, 100))

    const next = link.next()
    caller.say('here all along')
    beStopped(300)

    expect(String(await next)).toBe('here all along')
  })

  test('and is told all the same when nothing came', async () => {
    await linkTo(async (caller) => {
      await caller.lastWords()
    }, 100)

    const next = link.next()
    beStopped(300)

    await expect(next).rejects.toMatchObject({ code: 'CLIENT_SILENCE' })
  })
})

describe('an agent that says a byte now and then and never comes to an end', () => {
  /** Silent for no longer than a turn of the event loop, until its client has gone. */
  const dripping =
    (...said: readonly (Buffer | string)[]): Script =>
    async (caller) => {
      const bytes = Buffer.concat(said.map((piece) => Buffer.from(piece)))
      caller.say(bytes)
      while (!caller.socket.destroyed && caller.socket.writable) {
        caller.say('x')
        await new Promise((resolve) => setTimeout(resolve, 20))
      }
    }
  const late = { code: 'CLIENT_SILENCE', exitStatus: 6, facts: { messageMs: 300 } }

  test('is given up in the first line of its answer', async () => {
    await linkTo(dripping('READ'), 60_000, undefined, 300)

    // Far from what a first line may be when the time is over.
    await expect(readAnswer(link)).rejects.toMatchObject(late)
  })

  test('is given up in the block of its answer', async () => {
    await linkTo(dripping('READY\n2\nstatus='), 60_000, undefined, 300)

    await expect(readAnswer(link)).rejects.toMatchObject(late)
  })

  test('is given up in the block that follows', async () => {
    await linkTo(dripping(accepted(), '3\nstatus='), 60_000, undefined, 300)

    const { rest } = await readAnswer(link)

    await expect(readBlock(link, rest)).rejects.toMatchObject(late)
  })

  test('is not blamed for the time before it begins', async () => {
    let begin = (): void => {}
    const begun = new Promise<void>((resolve) => {
      begin = resolve
    })
    await linkTo(
      async (caller) => {
        await begun
        caller.say(accepted())
      },
      60_000,
      undefined,
      100,
    )
    jest.useFakeTimers({ doNotFake: ['setImmediate', 'clearImmediate', 'nextTick', 'queueMicrotask'] })
    try {
      const answer = readAnswer(link)
      jest.advanceTimersByTime(30_000)
      begin()

      expect((await answer).block.get('status')).toBe('ACCEPTED')
    } finally {
      jest.useRealTimers()
    }
  })
})

describe('what is not an end is never taken for one', () => {
  const twice = async (): Promise<string[]> => {
    const codes: string[] = []
    for (let asked = 0; asked < 2; asked += 1) {
      codes.push(
        await link.next().then(
          (chunk) => (chunk === undefined ? 'the end' : 'bytes'),
          (error: { code: string }) => error.code,
        ),
      )
    }
    return codes
  }

  test('silence', async () => {
    await linkTo(async (caller) => {
      await caller.lastWords()
    }, 50)

    expect(await twice()).toEqual(['CLIENT_SILENCE', 'CLIENT_SILENCE'])
  })

  test('a reset', async () => {
    await linkTo((caller) => {
      caller.socket.resetAndDestroy()
    })

    expect(await twice()).toEqual(['CLIENT_CUT', 'CLIENT_CUT'])
  })

  test('being told to stop', async () => {
    const stop = new AbortController()
    await linkTo(
      async (caller) => {
        stop.abort()
        await caller.lastWords()
      },
      60_000,
      stop.signal,
    )

    expect(await twice()).toEqual(['CLIENT_INTERRUPTED', 'CLIENT_INTERRUPTED'])
  })
})
