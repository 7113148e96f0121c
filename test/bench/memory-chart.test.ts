import { expect, test } from '@jest/globals'

import { runProgram } from '../rig/run-program.ts'
import { memoryChart } from './memory-chart.ts'

test('the chart is XML, with a point for every figure, the larger one higher up', async () => {
  const standings = [1, 100, 1000].map((count) => ({
    name: `${count} connections`,
    is: 'ours' as const,
    figure: { median: 60 + count / 100, least: 60, most: 80 },
  }))
  const svg = memoryChart([{ title: 'MiB by connections', result: { row: 'memory', turns: 3, standings } }])

  const heights = [...svg.matchAll(/<circle cx="[\d.]+" cy="([\d.]+)"/g)].map(([, cy]) => Number(cy))
  const parsed = await runProgram('python3', ['-c', 'import sys, xml.dom.minidom as m; m.parse(sys.stdin)'], {
    input: svg,
  })

  expect(parsed.exitCode).toBe(0)
  expect(heights).toHaveLength(3)
  expect(heights).toEqual(heights.toSorted((one, other) => other - one))
})
