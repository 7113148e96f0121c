/**
 * Runs targets in a thread, and ends it when one input takes too long or too much memory.
 *
 * What ended the thread is a finding; the inputs behind it are run in a new one.
 */

import { Worker } from 'node:worker_threads'

import type { CampaignResult, Finding } from './campaign.ts'
import { corpusOf } from './corpus.ts'
import { InputMaker } from './mutate.ts'
import type { Target } from './target.ts'
import type { WorkerOrder } from './worker.ts'

/** Thousands of times what the slowest of them takes on a machine that is busy: longer is no slowness, it is a hang. */
const HANG_MS = 20_000
const LOOK_MS = 250

/** Of JavaScript's own heap; the buffers are watched by the allocation guard. */
const HEAP_MIB = 384

export interface RunOrder {
  readonly seed: string
  readonly inputs: number
  readonly from?: number
}

export class FuzzThread {
  readonly #hangMs: number
  #worker: Worker | undefined
  #clock = new Float64Array(new SharedArrayBuffer(16))

  constructor(hangMs = HANG_MS) {
    this.#hangMs = hangMs
  }

  /** Never throws: whatever a target does to the thread is a finding. */
  async run(target: Target, { seed, inputs, from = 0 }: RunOrder): Promise<CampaignResult> {
    const ended = await this.#order({ target: target.name, seed, from, inputs })
    if (typeof ended !== 'string') return ended
    await this.close()
    const input = this.#clock[0] ?? from
    const corpus = corpusOf(target).map((item) => item.bytes)
    const finding = { input, what: ended, bytes: new InputMaker(target, corpus, seed).input(input) }
    const rest = { seed, from: input + 1, inputs: from + inputs - input - 1 }
    return joined(finding, input - from + 1, rest.inputs > 0 ? await this.run(target, rest) : undefined)
  }

  async close(): Promise<void> {
    await this.#worker?.terminate()
    this.#worker = undefined
  }

  /** @returns the result, or why there is none */
  async #order(order: WorkerOrder): Promise<CampaignResult | string> {
    this.#worker ??= this.#start()
    const worker = this.#worker
    this.#clock[0] = order.from
    this.#clock[1] = Number.POSITIVE_INFINITY // until it begins: loading the targets is not counted
    const listening = new AbortController()
    try {
      return await new Promise((resolve) => {
        const once = <Value>(event: string, listener: (value: Value) => void): void => {
          worker.once(event, listener)
          listening.signal.addEventListener('abort', () => worker.off(event, listener))
        }
        const look = setInterval(() => {
          const ms = now() - (this.#clock[1] ?? 0)
          if (ms > this.#hangMs) resolve(`hangs: one input took more than ${this.#hangMs} ms`)
        }, LOOK_MS)
        listening.signal.addEventListener('abort', () => clearInterval(look))
        once('message', (result: CampaignResult) => resolve(result))
        once('error', (error: Error) => resolve(`ended the thread: ${error.name}: ${error.message}`))
        once('exit', (code: number) => resolve(`ended the thread with ${code}`))
        worker.postMessage(order)
      })
    } finally {
      listening.abort()
    }
  }

  #start(): Worker {
    this.#clock = new Float64Array(new SharedArrayBuffer(16))
    const worker = new Worker(new URL('./worker.js', import.meta.url), {
      workerData: this.#clock.buffer,
      resourceLimits: { maxOldGenerationSizeMb: HEAP_MIB },
    })
    worker.on('error', () => undefined) // one that comes while nobody waits is told by the next order
    return worker
  }
}

const now = (): number => performance.timeOrigin + performance.now()

const joined = (finding: Finding, inputs: number, others: CampaignResult | undefined): CampaignResult => ({
  ...(others ?? {
    ...{ bytes: 0, outcomes: {}, slowest: { input: 0, ms: 0 } },
    ...{ largestAllocationBytes: 0, heapGrowthBytes: 0 },
  }),
  inputs: inputs + (others?.inputs ?? 0),
  findings: [finding, ...(others?.findings ?? [])],
})
