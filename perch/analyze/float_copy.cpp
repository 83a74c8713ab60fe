#include <map>
#include <utility>

#include <perch/analyze/float_copy.h>
#include <perch/core/check.h>
#include <perch/layers/activations.h>
#include <perch/layers/spec.h>
#include <perch/layers/state.h>
#include <perch/quant/folding.h>

namespace perch {
namespace {

LayerSpec without_quantizers(LayerSpec spec) {
  if (spec.kind == "QuantizeLayer") {
    Activation identity("linear", {.name = spec.name});
    return describe(identity);
  }
  for (auto& [role, child] : spec.children) {
    if (spec.kind != "QuantizeWrapper") {
      child = without_quantizers(std::move(child));
    } else if (role == "layer") {
      return without_quantizers(std::move(child));
    }
  }
  return spec;
}

}  // namespace

std::unique_ptr<Model> float_copy(Model& model) {
  PERCH_CHECK(model.built(), "float_copy: the model is not built; call build() first");
  std::unique_ptr<Layer> layer = make_layer(without_quantizers(describe(model)));
  std::unique_ptr<Model> copy(&dynamic_cast<Model&>(*layer.release()));
  copy->build(model.input_shape());

  std::map<std::string, const Tensor*> values;
  const std::vector<StateEntry> state = state_of(model);
  for (const StateEntry& entry : state) values.emplace(entry.name, entry.tensor());
  for (const StateEntry& entry : state_of(*copy)) {
    (entry.weight != nullptr ? entry.weight->mutable_value() : *entry.buffer)
        .copy_from(*values.at(entry.name));
  }
  unfold_batch_norms(*copy);
  return copy;
}

}  // namespace perch
