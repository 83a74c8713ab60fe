#include <perch/core/kernels/table.h>
#include <perch/core/ops/channel_layout.h>

namespace perch {

Tensor scale_columns(const ChannelLayout& layout, const Tensor& x, const Tensor& factors,
                     Tensor to) {
  parallel_for(layout.chunks().number(), [&](std::int64_t i) {
    const ChunkRange range = layout.chunks()[i];
    kernels::active().norm.scale(to.data() + range.begin, x.data() + range.begin, factors.data(),
                                 range.size(), layout.width());
  });
  return to;
}

}  // namespace perch
