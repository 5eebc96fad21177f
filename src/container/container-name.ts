import { randomInt } from 'node:crypto'
import { containerErrors } from '../errors/container-errors.ts'

const grammar = /^[a-zA-Z0-9][a-zA-Z0-9_.-]{1,127}$/

/** Checks a name that a user chose; a leading slash, as Docker shows it, is taken off. */
export function parseContainerName(name: string): string {
  const bare = name.startsWith('/') ? name.slice(1) : name
  if (!grammar.test(bare))
    throw containerErrors.error('bad_name', {
      message: `"${name}" cannot name a container: use 2 to 128 letters, digits, '_', '.' or '-', a letter or digit first.`,
      subject: { type: 'container', id: name },
    })
  return bare
}

const qualities =
  'amber ample arctic azure bold brave breezy bright brisk calm candid clear clever coral cosy crisp dapper daring eager early fair fleet fond frank fresh gentle glad golden grand happy hardy hazel humble jolly keen kind lively lucid lunar mellow merry mild mossy nimble noble olive placid plain polar proud quick quiet rapid ready rosy royal rustic silent silver sincere sleek smooth snowy solar solid spry steady still sunny swift tidy tranquil upbeat vivid warm wise witty woven zesty'.split(
    ' ',
  )
const things =
  'acorn alder anchor aspen badger barge basin beacon birch bison bobcat brook buoy canyon cedar cliff clover comet condor cove crane creek cypress delta dune eagle ember falcon fern finch fjord forest fox garnet geyser glacier grove gull harbor hawk heron hill ibis inlet island jetty juniper kestrel lagoon lake lark lemur linden llama lotus lynx maple marsh marten meadow mesa mole newt oak orca osprey otter owl panda pebble pelican pine pond puffin quartz raven reef ridge river robin sable salmon seal shore sparrow spruce stone stork summit swan teal thistle tide tiger trout tulip valley walrus willow wren yak zebra'.split(
    ' ',
  )

/** A name for a container whose creator gave none; `attempt` above 2 adds a number against clashes. */
export function generateContainerName(attempt: number): string {
  const name = `${qualities[randomInt(qualities.length)]}_${things[randomInt(things.length)]}`
  return attempt > 2 ? `${name}_${randomInt(100_000)}` : name
}
