#include <algorithm>
#include <cmath>
#include <map>
#include <set>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <perch/core/warn.h>
#include <perch/layers/graph.h>
#include <perch/quant/wrapper.h>
#include <perch/train/range_watch.h>
#include <perch/train/trainer.h>

namespace perch {
namespace {

constexpr float collapsed_share = 1e-6f, exploded_factor = 100.0f;

std::vector<float> widths_of(const Quantizer& quantizer) {
  std::vector<float> widths;
  for (const QuantGrid& grid : quantizer.grids()) {
    widths.push_back(grid.zero_range ? 0.0f : grid.nudged_max - grid.nudged_min);
  }
  return widths;
}

/// What was told of one quantizer, and its widths an epoch before.
struct Known {
  std::vector<float> widths;
  std::set<std::size_t> collapsed, exploded;
};

class RangeWatch final : public Callback {
 public:
  explicit RangeWatch(std::function<void(const std::string&)> tell) : tell_(std::move(tell)) {}

  void on_train_begin(Trainer&, const TrainPlan&) override { known_.clear(); }
  void on_epoch_end(Trainer& trainer, const EpochResult& result) override {
    for_each_layer(trainer.model(), [&](Layer& layer) {
      if (auto* const input = dynamic_cast<QuantizeLayer*>(&layer)) {
        look(layer.name(), input->quantizer(), result.epoch);
      } else if (auto* const wrapper = dynamic_cast<QuantizeWrapper*>(&layer)) {
        for (const std::string& prefix : wrapper->quantizer_order()) {
          look(fmt::format("{}: {}", layer.name(), prefix), *wrapper->quantizers().at(prefix),
               result.epoch);
        }
      }
    });
  }

 private:
  void look(const std::string& where, const Quantizer& quantizer, std::int64_t epoch) {
    const std::vector<float> widths = widths_of(quantizer);
    if (widths.empty()) return;
    Known& known = known_[where];
    const float widest = *std::ranges::max_element(widths);
    std::vector<std::size_t> collapsed, exploded;
    for (std::size_t i = 0; i < widths.size(); ++i) {
      const bool is_narrow = widths[i] <= collapsed_share * widest;
      const bool is_wide =
          !std::isfinite(widths[i]) || (i < known.widths.size() && known.widths[i] > 0.0f &&
                                        widths[i] > exploded_factor * known.widths[i]);
      if (is_narrow && known.collapsed.insert(i).second) collapsed.push_back(i);
      if (is_wide && known.exploded.insert(i).second) exploded.push_back(i);
    }
    tell(where, epoch, "collapsed", collapsed, widths);
    tell(where, epoch, "exploded", exploded, widths);
    known.widths = widths;
  }

  void tell(const std::string& where, std::int64_t epoch, const char* what,
            std::vector<std::size_t> channels, const std::vector<float>& widths) const {
    if (channels.empty()) return;
    constexpr std::size_t shown = 8;
    std::string which;
    if (widths.size() > 1) {
      const std::size_t more = channels.size() - std::min(channels.size(), shown);
      const std::size_t all = channels.size();
      channels.resize(all - more);
      which = fmt::format(" of {} of {} channels ({}{})", all, widths.size(),
                          fmt::join(channels, ", "), more > 0 ? ", ..." : "");
    }
    tell_(fmt::format("epoch {}: {}: the range{} has {}, to a width of {:.3g}", epoch + 1, where,
                      which, what, widths[channels.front()]));
  }

  std::function<void(const std::string&)> tell_;
  std::map<std::string, Known> known_;
};

}  // namespace

CallbackPtr range_watch(std::function<void(const std::string&)> tell) {
  if (!tell) tell = warn;
  return std::make_shared<RangeWatch>(std::move(tell));
}

}  // namespace perch
