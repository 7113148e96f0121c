/**
 * Runs the inputs of one target, one after the other, in the thread that it is called in.
 *
 *     number ─▶ the watchdog's clock ─▶ input ─▶ judge, whole ─▶ judge, cut ─▶ the same?
 *
 * A finding does not end it, so that one run shows all of them; each is made smaller first.
 */

import { setImmediate as nextTurn } from 'node:timers/promises'

import { type AllocationGuard, guardAllocations } from './allocation-guard.ts'
import { corpusOf } from './corpus.ts'
import { judge } from './judge.ts'
import { minimise } from './minimise.ts'
import { InputMaker } from './mutate.ts'
import type { Target } from './target.ts'

export interface CampaignOrder {
  readonly seed: string
  /** The first input, and how many. */
  readonly from: number
  readonly inputs: number
}

export interface Finding {
  readonly input: number
  readonly what: string
  /** As small as it could be made. */
  readonly bytes: Uint8Array
}

export interface CampaignResult {
  readonly inputs: number
  readonly bytes: number
  /** How often each outcome came. */
  readonly outcomes: Readonly<Record<string, number>>
  readonly slowest: { readonly input: number; readonly ms: number }
  readonly largestAllocationBytes: number
  readonly heapGrowthBytes: number
  readonly findings: readonly Finding[]
}

/** How often an input is also fed in pieces. */
const CUT_EVERY = 3
/** Caches and compiled code are there by then. */
const WARM_UP = 1000
/** Source: goal 6 of the faults' page: heap growth below 16 MB. */
export const MAX_HEAP_GROWTH_BYTES = 16 * 1024 * 1024
/** Another hundred of one kind say no more. */
const MAX_FINDINGS = 10

/** @param tick told the number of every input before it is fed */
export const runCampaign = async (
  target: Target,
  { seed, from, inputs }: CampaignOrder,
  { tick, gc }: { tick(input: number): void; gc(): void },
): Promise<CampaignResult> => {
  const corpus = corpusOf(target).map(({ bytes }) => bytes)
  const maker = new InputMaker(target, corpus, seed)
  const guard = guardAllocations()
  const outcomes: Record<string, number> = {}
  const findings = new Map<string, Finding>()
  let bytes = 0
  let slowest = { input: from, ms: 0 }
  let heapBefore: number | undefined

  const look = async (number: number, input: Buffer): Promise<string | undefined> => {
    const seen = await watched(target, input, guard)
    outcomes[seen.outcome] = (outcomes[seen.outcome] ?? 0) + 1
    if (seen.ms > slowest.ms) slowest = { input: number, ms: seen.ms }
    if (seen.finding !== undefined || !target.isPiecewise || number % CUT_EVERY !== 0) return seen.finding
    return whyDifferent(target, maker.pieces(number, input), seen.trace)
  }

  await target.open?.()
  try {
    for (let number = from; number < from + inputs; number += 1) {
      if (number === from + Math.min(WARM_UP, inputs >> 1)) heapBefore = await heapBytes(gc)
      tick(number)
      const input = maker.input(number)
      bytes += input.length
      const what = await look(number, input)
      if (what === undefined || findings.size >= MAX_FINDINGS || findings.has(signature(what))) continue
      const small = await minimise(input, async (smaller) => {
        tick(number)
        return signature((await watched(target, smaller, guard)).finding ?? '') === signature(what)
      })
      findings.set(signature(what), { input: number, what, bytes: small })
    }
    const heapGrowthBytes = heapBefore === undefined ? 0 : (await heapBytes(gc)) - heapBefore
    if (heapGrowthBytes > MAX_HEAP_GROWTH_BYTES) {
      const what = `the heap has grown by ${heapGrowthBytes} bytes over ${inputs} inputs`
      findings.set(what, { input: from, what, bytes: Buffer.alloc(0) })
    }
    const largestAllocationBytes = guard.largestBytes
    return {
      inputs,
      bytes,
      outcomes,
      slowest,
      largestAllocationBytes,
      heapGrowthBytes,
      findings: [...findings.values()],
    }
  } finally {
    guard.remove()
    await target.close?.()
  }
}

/** What `judge` says, how long it took, and whether more memory was taken at once than the input can be a reason for. */
const watched = async (
  target: Target,
  input: Buffer,
  guard: AllocationGuard,
): Promise<{ outcome: string; trace: string; finding: string | undefined; ms: number }> => {
  guard.begin()
  const began = performance.now()
  const judgement = await judge(target, [input])
  const ms = performance.now() - began
  const complaint = guard.complaint(input.length)
  return { ...judgement, finding: judgement.finding ?? complaint, ms }
}

const whyDifferent = async (target: Target, pieces: readonly Buffer[], trace: string): Promise<string | undefined> => {
  const cut = await judge(target, pieces)
  if (cut.finding !== undefined) return `when cut in ${pieces.length}: ${cut.finding}`
  if (cut.trace === trace) return undefined
  const lengths = pieces.map(({ length }) => length).join(', ')
  return `differs when cut in pieces of ${lengths}: ${JSON.stringify(cut.trace.slice(-300))} instead of ${JSON.stringify(trace.slice(-300))}`
}

/** Two findings of one kind differ in numbers and names only. */
const signature = (what: string): string =>
  what
    .replace(/"(?:[^"\\]|\\.)*"/g, '""')
    .replace(/\d+/g, '0')
    .slice(0, 120)

/** Buffers are given back a moment after what held them was collected: the least of a few looks counts. */
const heapBytes = async (gc: () => void): Promise<number> => {
  let least = Number.POSITIVE_INFINITY
  for (let look = 0; look < 3; look += 1) {
    gc()
    await nextTurn()
    const { heapUsed, arrayBuffers } = process.memoryUsage()
    least = Math.min(least, heapUsed + arrayBuffers)
  }
  return least
}
