#include <algorithm>
#include <cmath>

#include <perch/core/check.h>
#include <perch/core/reduce.h>
#include <perch/layers/state.h>
#include <perch/train/non_finite.h>
#include <perch/train/snapshot.h>

namespace perch {
namespace {

constexpr const char* remedy = "try a smaller learning rate, a warm-up or clip_norm";

// "'conv2d' (its weight conv2d/kernel)", or nothing.
std::string first_culprit(Model& model, const Batch& batch, Context context) {
  const std::vector<StateEntry> state = state_of(model);
  std::string culprit;
  context.on_output = [&](const Layer& layer, const Variable& output) {
    if (!culprit.empty()) return;
    const auto bad = std::ranges::find_if(state, [&](const StateEntry& entry) {
      return entry.layer == layer.name() && entry.weight != nullptr && !all_finite(*entry.tensor());
    });
    if (bad != state.end()) {
      culprit = fmt::format("'{}' (its weight {})", layer.name(), bad->name);
    } else if (!all_finite(output.value())) {
      culprit = fmt::format("'{}' (its output)", layer.name());
    }
  };
  model.forward(Variable(batch.images), context);
  return culprit;
}

}  // namespace

std::string non_finite_loss(Model& model, const Batch& batch, const Context& context, double loss,
                            const std::string& where) {
  const bool good_images = all_finite(batch.images);
  const Snapshot before(model);
  const std::string culprit = first_culprit(model, batch, context);
  before.restore(model);
  return fmt::format("loss is {} at {}: {}{}; {}", std::isnan(loss) ? "nan" : "infinite", where,
                     good_images ? "" : "an image of the batch has a non-finite value; ",
                     culprit.empty() ? "every layer's weights and output are finite"
                                     : "the first layer with a non-finite value is " + culprit,
                     good_images ? remedy : "clean the data set");
}

std::string non_finite_gradient(const std::vector<Parameter>& parameters,
                                const std::string& where) {
  for (const Parameter& parameter : parameters) {
    const Tensor& gradient = parameter.variable.grad();
    if (gradient.empty() || all_finite(gradient)) continue;
    return fmt::format("the gradient of {} is not finite at {}; {}", parameter.name, where, remedy);
  }
  return {};
}

}  // namespace perch
