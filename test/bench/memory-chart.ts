/** Draws the rows of memory as one picture, SVG: two panels, a logarithmic axis below, one of mebibytes from zero at the side. */

import type { RowResult } from './turns.ts'

const WIDTH = 360
const HEIGHT = 240
const LEFT = 48
const BOTTOM = 40
const TOP = 32
const PANEL = { width: WIDTH - LEFT - 16, height: HEIGHT - TOP - BOTTOM }

interface Panel {
  readonly title: string
  readonly result: RowResult
}

/** `1,000 connections` -> 1000 */
const countOf = (name: string): number => Number.parseFloat(name.replaceAll(',', ''))

/** @returns a picture with light and dark in mind: lines and letters take the colour of the text around it */
export const memoryChart = (panels: readonly Panel[]): string => {
  const most = Math.max(...panels.flatMap(({ result }) => result.standings.map(({ figure }) => figure.most)))
  const top = Math.ceil(most / 50) * 50
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${panels.length * WIDTH} ${HEIGHT}" font-family="sans-serif" font-size="11" fill="currentColor" color="#777">`,
    '<title>Resident memory of an agent, MiB</title>',
    ...panels.map(
      (panel, at) => `<g transform="translate(${at * WIDTH + LEFT} ${TOP})">\n${drawPanel(panel, top)}\n</g>`,
    ),
    '</svg>',
    '',
  ].join('\n')
}

const drawPanel = ({ title, result }: Panel, top: number): string => {
  const points = result.standings.map(({ name, figure }) => ({ name, figure, count: countOf(name) }))
  const largest = Math.log(Math.max(...points.map(({ count }) => count)))
  const x = (count: number): number => round((Math.log(count) / largest) * PANEL.width)
  const y = (mebibytes: number): number => round(PANEL.height * (1 - mebibytes / top))
  const steps = [0, top / 2, top]
  return [
    `<text x="0" y="-14">${title}</text>`,
    ...steps.map(
      (step) =>
        `<path d="M0 ${y(step)}H${PANEL.width}" stroke="currentColor" stroke-opacity="0.3"/><text x="-6" y="${y(step) + 4}" text-anchor="end">${step}</text>`,
    ),
    ...points.map(
      ({ name, count }) => `<text x="${x(count)}" y="${PANEL.height + 18}" text-anchor="middle">${name}</text>`,
    ),
    `<polyline fill="none" stroke="#d33" stroke-width="2" points="${points.map(({ count, figure }) => `${x(count)},${y(figure.median)}`).join(' ')}"/>`,
    ...points.map(
      ({ count, figure }) =>
        `<path d="M${x(count)} ${y(figure.least)}V${y(figure.most)}" stroke="#d33"/><circle cx="${x(count)}" cy="${y(figure.median)}" r="3" fill="#d33"><title>${Math.round(figure.median)} MiB</title></circle>`,
    ),
  ].join('\n')
}

const round = (value: number): number => Math.round(value * 10) / 10
