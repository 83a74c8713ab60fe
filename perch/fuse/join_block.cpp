#include <algorithm>
#include <atomic>
#include <cmath>
#include <limits>
#include <numeric>
#include <utility>

#include <perch/core/kernels/table.h>
#include <perch/core/parallel.h>
#include <perch/core/reduce.h>
#include <perch/core/storage.h>
#include <perch/fuse/join_block.h>

namespace perch::fusion {
namespace {

constexpr float infinity = std::numeric_limits<float>::infinity();
// Elements at once: both inputs and the sum stay in the first cache.
constexpr std::int64_t piece_elements = 2048;
constexpr std::int64_t chunk_elements = 16384;

/// The elements of both inputs, decoded piece by piece.
class Pieces {
 public:
  Pieces(const Tensor& a, const Tensor& b)
      : a_(a), b_(b), chunks_(a.size(), chunk_size(a, b)), scratch_({thread_count(), 3, piece()}) {}

  std::int64_t chunks() const { return chunks_.number(); }

  /// body(chunk, first, count, a's elements, b's elements, room for as many)
  template <class Body>
  void run(const Body& body) {
    parallel_for(chunks_.number(), [&](std::int64_t i) {
      float* const mine = scratch_.data() + worker_slot() * 3 * piece();
      for (std::int64_t first = chunks_[i].begin; first < chunks_[i].end; first += piece()) {
        const std::int64_t count = std::min(piece(), chunks_[i].end - first);
        body(i, first, count, read(a_, first, count, mine), read(b_, first, count, mine + piece()),
             mine + 2 * piece());
      }
    });
  }

 private:
  // Whole pixels of both, as their maps are per channel.
  static std::int64_t channels(const Tensor& t) {
    return t.deferred() == nullptr || t.deferred()->map == nullptr ? 1 : t.deferred()->map->channels;
  }
  static std::int64_t chunk_size(const Tensor& a, const Tensor& b) {
    return chunk_elements / piece_elements * piece_of(a, b);
  }
  static std::int64_t piece_of(const Tensor& a, const Tensor& b) {
    const std::int64_t both = std::lcm(channels(a), channels(b));
    return std::max<std::int64_t>(piece_elements / both, 1) * both;
  }
  std::int64_t piece() const { return piece_of(a_, b_); }
  static const float* read(const Tensor& t, std::int64_t first, std::int64_t count, float* to) {
    if (t.deferred() == nullptr) return t.data() + first;
    t.deferred()->read(first, count, to);
    return to;
  }

  const Tensor &a_, &b_;
  Chunks chunks_;
  Tensor scratch_;
};

/// Smallest and largest sum; nothing when one is not finite.
std::optional<TensorRange> range_of_sums(const JoinBlock& block, Pieces& pieces) {
  Tensor found({pieces.chunks(), 2});
  for (std::int64_t i = 0; i < pieces.chunks(); ++i) {
    found.data()[2 * i] = infinity;
    found.data()[2 * i + 1] = -infinity;
  }
  std::atomic<bool> finite = true;
  pieces.run([&](std::int64_t chunk, std::int64_t, std::int64_t count, const float* a,
                 const float* b, float* sums) {
    float* const ends = found.data() + 2 * chunk;
    kernels::active().tail.join(a, b, block.low, block.high, sums, ends, ends + 1, count);
    if (!std::isfinite(kernels::active().elementwise.sum(sums, count))) finite = false;
  });
  if (!finite) return std::nullopt;
  float low = infinity, high = -infinity;
  for (std::int64_t i = 0; i < pieces.chunks(); ++i) {
    low = std::min(low, found.data()[2 * i]);
    high = std::max(high, found.data()[2 * i + 1]);
  }
  return TensorRange{Tensor::scalar(low + 0.0f), Tensor::scalar(high + 0.0f)};
}

Tensor join_floats(const JoinBlock& block, Pieces& pieces, const Shape& shape) {
  Tensor y(shape);
  pieces.run([&](std::int64_t, std::int64_t first, std::int64_t count, const float* a,
                 const float* b, float*) {
    float low = 0.0f, high = 0.0f;
    kernels::active().tail.join(a, b, block.low, block.high, y.data() + first, &low, &high, count);
  });
  return y;
}

Tensor join_codes(const JoinBlock& block, Pieces& pieces, const Shape& shape, const Grid& grid) {
  const std::shared_ptr<std::uint8_t> codes = allocate_bytes(shape.size());
  pieces.run([&](std::int64_t, std::int64_t first, std::int64_t count, const float* a,
                 const float* b, float* sums) {
    float low = 0.0f, high = 0.0f;
    const auto& tail = kernels::active().tail;
    tail.join(a, b, block.low, block.high, sums, &low, &high, count);
    tail.encode(sums, grid.args, grid.dividing, codes.get() + first, count);
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
          Pieces pieces(va, vb);
          pieces.run([&](std::int64_t, std::int64_t first, std::int64_t count, const float* pa,
                         const float* pb, float*) {
            kernels::active().tail.join_gradient(pa, pb, gate.low, gate.high,
                                                 std::as_const(g).data() + first,
                                                 through.data() + first, count);
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
  if (a.shape() != b.shape()) return composed(block, a, b, context);
  Pieces pieces(a.value(), b.value());
  if (block.outer == nullptr) {
    return as_variable(join_floats(block, pieces, a.shape()), a, b, Gate(block.low, block.high, {}));
  }
  const std::optional<TensorRange> range = range_of_sums(block, pieces);
  if (!range) return composed(block, a, b, context);
  const Tensor min = block.outer->min().clone(), max = block.outer->max().clone();
  if (block.outer_owner.context(context).training) block.outer->track(*range);
  const std::optional<Grid> grid = Grid::of(*block.outer);
  if (!grid) {
    block.outer->restore(min, max);
    return composed(block, a, b, context);
  }
  return as_variable(join_codes(block, pieces, a.shape(), *grid), a, b, Gate(block.low, block.high, grid));
}

}  // namespace perch::fusion
