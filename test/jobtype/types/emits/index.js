import {
  Field,
  Int32,
  makeData,
  RecordBatch,
  Schema,
  Struct,
  Table,
  tableFromArrays,
  vectorFromArray,
} from 'apache-arrow';

/** Emits its number for each point, and then does what the metadata says of the point. */
export class Emits {
  static deliveries = ['at-least-once', 'at-most-once', 'exactly-once'];

  async work(task) {
    const { skip = [], awaits = true, size = 0 } = task.metadata;
    for await (const point of task.points()) {
      if (!skip.includes(point)) {
        const emitting = task.emit(size === 0 ? numbers([point]) : filled(point, size));
        if (awaits) await emitting;
      }
      await this.happen(task, point);
    }
  }

  async happen(task, point) {
    const { throwAt, exitAt, killAt, hangAt, rejectAt, emitAt = {} } = task.metadata;
    if (point === throwAt) throw new Error(`thrown at ${point}`);
    if (point === exitAt) process.exit(3);
    if (point === killAt) process.kill(process.pid, 'SIGKILL');
    if (point === rejectAt) void Promise.reject(new Error(`rejected at ${point}`));
    if (point === hangAt) await new Promise(() => setInterval(() => {}, 1_000));
    switch (emitAt[point]) {
      case 'table':
        return task.emit(new Table([numbers([point, 1]), numbers([point, 2])]));
      case 'empty':
        return task.emit(numbers([]));
      case 'text':
        return task.emit(tableFromArrays({ point: ['one'] }));
      case 'nothing':
        return task.emit(null);
      case 'object':
        return task.emit({ point });
      case 'acknowledged':
        task.acknowledge();
        return task.emit(numbers([point]));
      case 'caught':
        return task.emit('this').catch(() => task.emit(numbers([point])));
      default:
    }
  }
}

const SCHEMA = new Schema([new Field('point', new Int32(), false)]);

function numbers(values) {
  const data = makeData({ type: new Int32(), data: Int32Array.from(values) });
  return new RecordBatch(
    SCHEMA,
    makeData({ type: new Struct(SCHEMA.fields), length: values.length, children: [data] }),
  );
}

/** One row of about so many bytes: many of them are few rows. */
function filled(point, size) {
  const table = new Table({ point: vectorFromArray([point], new Int32()), text: vectorFromArray(['x'.repeat(size)]) });
  return table;
}
