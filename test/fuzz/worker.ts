/**
 * The thread in which targets are run, so that one that hangs or takes all memory can be ended.
 *
 *     main:   run NAME, inputs from … ─▶            ─▶ result
 *     shared: [the input that is being fed, when it began]     read by the watchdog
 */

import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'
import { parentPort, workerData } from 'node:worker_threads'

import { type CampaignOrder, runCampaign } from './campaign.ts'
import { findTarget } from './targets.ts'

export interface WorkerOrder extends CampaignOrder {
  readonly target: string
}

if (parentPort === null) throw new Error('bug: this is the thread of the fuzzer, and is started by watchdog.ts')
const port = parentPort
const clock = new Float64Array(workerData as SharedArrayBuffer)

// Millions of refusals carry a stack each; of what is no refusal, the first lines tell the place.
Error.stackTraceLimit = 4

setFlagsFromString('--expose-gc')
const gc = runInNewContext('gc') as () => void

const tick = (input: number): void => {
  clock[0] = input
  clock[1] = performance.timeOrigin + performance.now()
}

port.on('message', ({ target, ...order }: WorkerOrder) => {
  tick(order.from)
  runCampaign(findTarget(target), order, { tick, gc }).then(
    (result) => port.postMessage(result),
    (error: unknown) => {
      throw error // ends the thread; the watchdog says which input it was
    },
  )
})
