#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>
#include <utility>

#include <perch/core/kernels/table.h>
#include <perch/core/parallel.h>
#include <perch/core/reduce.h>
#include <perch/core/storage.h>
#include <perch/fuse/join_block.h>

namespace perch::fusion {
namespace {

constexpr float infinity = std::numeric_limits<float>::infinity();
// 64 KiB of floats: two inputs and the output stay in a core's second cache.
constexpr std::int64_t chunk_elements = 16384;

/// Both inputs as the kernels read them, in chunks of whole rows of channels.
class Inputs {
 public:
  Inputs(const Tensor& a, const Tensor& b, float low, float high)
      : a_(a),
        b_(b),
        low_(low),
        high_(high),
        width_(width_of(a, b)),
        chunks_(a.size(), std::max<std::int64_t>(chunk_elements / width_, 1) * width_) {}

  const Chunks& chunks() const { return chunks_; }
  std::int64_t width() const { return width_; }

  /// body(chunk, range, inputs from the range's first element on)
  template <class Body>
  void run(const Body& body) const {
    parallel_for(chunks_.number(), [&](std::int64_t i) {
      const std::int64_t first = chunks_[i].begin;
      kernels::TailMap a_map, b_map;
      kernels::JoinInput input{};
      input.a = read(a_, first, a_map, input.a_map);
      input.b = read(b_, first, b_map, input.b_map);
      input.low = low_;
      input.high = high_;
      body(i, chunks_[i], input);
    });
  }

 private:
  static const ChannelMap* map_of(const Tensor& t) {
    return t.deferred() == nullptr ? nullptr : t.deferred()->map.get();
  }
  // Both have the same shape, so that two maps have the same width; without one, any will do.
  static std::int64_t width_of(const Tensor& a, const Tensor& b) {
    const ChannelMap* const map = map_of(a) != nullptr ? map_of(a) : map_of(b);
    return map == nullptr ? chunk_elements : map->width;
  }
  static kernels::TailInput read(const Tensor& t, std::int64_t first, kernels::TailMap& tables,
                                 const kernels::TailMap*& map) {
    if (t.deferred() == nullptr) return {t.data() + first, nullptr, 0.0f, 1.0f};
    if (map_of(t) != nullptr) {
      tables = tables_at(*map_of(t), first);
      map = &tables;
    }
    return elements_at(*t.deferred(), first);
  }

  const Tensor &a_, &b_;
  float low_, high_;
  std::int64_t width_;
  Chunks chunks_;
};

/// Smallest and largest sum; nothing when one is not finite.
std::optional<TensorRange> range_of_sums(const Inputs& inputs) {
  Tensor found({inputs.chunks().number(), 2});
  std::atomic<bool> finite = true;
  inputs.run([&](std::int64_t chunk, ChunkRange range, const kernels::JoinInput& input) {
    float* const ends = found.data() + 2 * chunk;
    ends[0] = infinity;
    ends[1] = -infinity;
    if (!kernels::active().join.range(input, ends, ends + 1, range.size(), inputs.width())) {
      finite = false;
    }
  });
  if (!finite) return std::nullopt;
  float low = infinity, high = -infinity;
  for (std::int64_t i = 0; i < inputs.chunks().number(); ++i) {
    low = std::min(low, found.data()[2 * i]);
    high = std::max(high, found.data()[2 * i + 1]);
  }
  return TensorRange{Tensor::scalar(low + 0.0f), Tensor::scalar(high + 0.0f)};
}

Tensor join_floats(const Inputs& inputs, const Shape& shape) {
  Tensor y(shape);
  inputs.run([&](std::int64_t, ChunkRange range, const kernels::JoinInput& input) {
    kernels::active().join.decode(input, y.data() + range.begin, range.size(), inputs.width());
  });
  return y;
}

Tensor join_codes(const Inputs& inputs, const Shape& shape, const Grid& grid) {
  const std::shared_ptr<std::uint8_t> codes = allocate_bytes(shape.size());
  inputs.run([&](std::int64_t, ChunkRange range, const kernels::JoinInput& input) {
    kernels::active().join.encode(input, grid.args, grid.dividing, codes.get() + range.begin,
                                  range.size(), inputs.width());
  });
  auto encoding = std::make_shared<Encoding>();
  encoding->codes = codes;
  encoding->grid = grid.codes;
  return Tensor::encoded(shape, std::move(encoding));
}

Variable as_variable(Tensor y, const Variable& a, const Variable& b, const Gate& gate) {
  const bool to_a = a.requires_grad(), to_b = b.requires_grad();
  return Variable::from_op(
      "join_block", std::move(y), {a, b},
      [to_a, to_b, gate, va = gate.open() ? Tensor() : a.value(),
       vb = gate.open() ? Tensor() : b.value()](Tensor dy) -> std::vector<Tensor> {
        Tensor g = dy;
        if (!gate.open()) {
          dy = {};
          Tensor through = reuse_or_allocate(g);
          const Inputs inputs(va, vb, gate.low, gate.high);
          inputs.run([&](std::int64_t, ChunkRange range, const kernels::JoinInput& input) {
            kernels::active().join.gradient(input, std::as_const(g).data() + range.begin,
                                            through.data() + range.begin, range.size(),
                                            inputs.width());
          });
          g = std::move(through);
        }
        Tensor da = to_a ? g : Tensor();
        return {std::move(da), to_b ? std::move(g) : Tensor()};
      });
}

}  // namespace

Variable composed(const JoinBlock& block, const Variable& a, const Variable& b,
                  const Context& context) {
  const Variable y = (*block.add.node)({a, b}, context);
  return block.activation ? (*block.activation.node)({y}, context) : y;
}

Variable run(const JoinBlock& block, const Variable& a, const Variable& b, const Context& context) {
  if (a.shape() != b.shape() || lets_pass(block.outer)) return composed(block, a, b, context);
  const Inputs inputs(a.value(), b.value(), block.low, block.high);
  if (block.outer == nullptr) {
    return as_variable(join_floats(inputs, a.shape()), a, b, Gate(block.low, block.high, {}));
  }
  const std::optional<TensorRange> range = range_of_sums(inputs);
  if (!range) return composed(block, a, b, context);
  const RangeQuantizer::State before = block.outer->state();
  if (block.outer->mode.observes && block.outer_owner.context(context).training) {
    block.outer->track(*range);
  }
  const std::optional<Grid> grid = Grid::of(*block.outer);
  if (!grid) {
    block.outer->restore(before);
    return composed(block, a, b, context);
  }
  return as_variable(join_codes(inputs, a.shape(), *grid), a, b, Gate(block.low, block.high, grid));
}

}  // namespace perch::fusion
