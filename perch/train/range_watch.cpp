#include <algorithm>
#include <cmath>
#include <cstdint>
#include <map>
#include <vector>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <perch/core/warn.h>
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

/// Channels that were told, in ascending order.
using Told = std::vector<std::int64_t>;

/// What was told of one quantizer, and its widths an epoch before.
struct Known final : public Visitable {
  std::vector<float> widths;
  Told collapsed, exploded;

  void visit(Visitor& visitor) override {
    auto count = static_cast<std::int64_t>(widths.size());
    visitor.config("collapsed", collapsed);
    visitor.config("exploded", exploded);
    Tensor held = count == 0 ? Tensor() : Tensor({count}, std::vector<float>(widths));
    visitor.buffer("widths", held);
    widths.assign(held.values().begin(), held.values().end());
  }
};

/// Whether it is told for the first time.
bool note(Told& told, std::size_t channel) {
  const auto number = static_cast<std::int64_t>(channel);
  const auto place = std::ranges::lower_bound(told, number);
  if (place != told.end() && *place == number) return false;
  told.insert(place, number);
  return true;
}

class RangeWatch final : public Callback {
 public:
  explicit RangeWatch(std::function<void(const std::string&)> tell) : tell_(std::move(tell)) {}

  // A resumed training tells nothing twice, and knows the widths of the epoch before.
  std::string state_name() const override { return "range_watch"; }
  void visit(Visitor& visitor) override {
    for (auto& [name, known] : known_) visitor.part(name, known);
  }

  void on_train_begin(Trainer& trainer, const TrainPlan&) override {
    known_.clear();
    for_each_quantizer(trainer.model(),
                       [&](const PlacedQuantizer& placed) { known_[name_of(placed)]; });
  }
  void on_epoch_end(Trainer& trainer, const EpochResult& result) override {
    for_each_quantizer(trainer.model(), [&](const PlacedQuantizer& placed) {
      const bool alone = placed.prefix == placed.layer.name();
      look(alone ? placed.prefix : fmt::format("{}: {}", placed.layer.name(), placed.prefix),
           placed.quantizer, known_[name_of(placed)], result.epoch);
    });
  }

 private:
  static std::string name_of(const PlacedQuantizer& placed) {
    return fmt::format("{}/{}", placed.layer.name(), placed.prefix);
  }

  void look(const std::string& where, const Quantizer& quantizer, Known& known,
            std::int64_t epoch) {
    const std::vector<float> widths = widths_of(quantizer);
    if (widths.empty()) return;
    const float widest = *std::ranges::max_element(widths);
    std::vector<std::size_t> collapsed, exploded;
    for (std::size_t i = 0; i < widths.size(); ++i) {
      const bool is_narrow = widths[i] <= collapsed_share * widest;
      const bool is_wide =
          !std::isfinite(widths[i]) || (i < known.widths.size() && known.widths[i] > 0.0f &&
                                        widths[i] > exploded_factor * known.widths[i]);
      if (is_narrow && note(known.collapsed, i)) collapsed.push_back(i);
      if (is_wide && note(known.exploded, i)) exploded.push_back(i);
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
