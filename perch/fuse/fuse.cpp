#include <cstdlib>
#include <string>
#include <string_view>
#include <utility>
#include <variant>

#include <perch/core/check.h>
#include <perch/core/profile.h>
#include <perch/fuse/fuse.h>
#include <perch/fuse/match.h>

namespace perch {

struct FusedModel::Step {
  std::variant<Layer*, fusion::LinearBlock, fusion::JoinBlock> what;
  std::vector<std::size_t> nodes;
  std::vector<NodeId> inputs;
  std::vector<NodeId> last_uses;  // nodes that nobody reads behind this step
  std::string name;               // of its layers

  Variable run(const std::vector<Variable>& given, const Context& context) const {
    if (const auto* const layer = std::get_if<Layer*>(&what)) return (**layer)(given, context);
    const auto* const linear = std::get_if<fusion::LinearBlock>(&what);
    const ProfileScope scope("forward", name, linear != nullptr ? "linear_block" : "join_block");
    for (const Variable& input : given) count_bytes({&input.value()});
    const Variable output = linear != nullptr ? fusion::run(*linear, given[0], context)
                                              : fusion::run(std::get<fusion::JoinBlock>(what),
                                                            given[0], given[1], context);
    count_bytes({&output.value()});
    return output;
  }
};

FusedModel::FusedModel(Model& model) : model_(&model) {
  PERCH_CHECK(model.built(),
              "fuse: the model is not built; call build() with the input's shape first");
  const fusion::Matcher matcher(model);
  const std::vector<Model::Node>& nodes = model.nodes();
  std::vector<bool> taken(nodes.size(), false);
  std::vector<std::size_t> last_reader(nodes.size(), 0);
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    if (taken[i]) continue;
    Step step{.what = nodes[i].layer.get(), .nodes = {i}, .inputs = nodes[i].inputs};
    if (auto linear = matcher.linear_block(i)) {
      step.what = linear->block;
      step.nodes = std::move(linear->nodes);
    } else if (auto join = matcher.join_block(i)) {
      step.what = join->block;
      step.nodes = std::move(join->nodes);
    }
    for (const std::size_t node : step.nodes) {
      taken[node] = true;
      step.name += (step.name.empty() ? "" : "+") + nodes[node].layer->name();
    }
    for (const NodeId id : step.inputs) {
      if (id != Model::input) last_reader[static_cast<std::size_t>(id)] = steps_.size();
    }
    steps_.push_back(std::move(step));
  }
  for (std::size_t i = 0; i < nodes.size(); ++i) {
    if (static_cast<NodeId>(i) == model.output()) continue;
    steps_[last_reader[i]].last_uses.push_back(static_cast<NodeId>(i));
  }
}

FusedModel::~FusedModel() = default;
FusedModel::FusedModel(FusedModel&&) noexcept = default;
FusedModel& FusedModel::operator=(FusedModel&&) noexcept = default;

Variable FusedModel::forward(const Variable& x, const Context& context) {
  if (context.on_output || context.before_activation) return model_->forward(x, context);
  model_->check_input(x);
  const Context own = model_->own_context(context);
  const std::vector<Model::Node>& nodes = model_->nodes();
  std::vector<Variable> values(nodes.size());
  for (const Step& step : steps_) {
    std::vector<Variable> given;
    for (const NodeId id : step.inputs) {
      given.push_back(id == Model::input ? x : values[static_cast<std::size_t>(id)]);
    }
    values[step.nodes.back()] =
        with_layer_name(*nodes[step.nodes.front()].layer, [&] { return step.run(given, own); });
    // An intermediate result lives just as long as a later step needs it.
    for (const NodeId id : step.last_uses) values[static_cast<std::size_t>(id)] = {};
  }
  return values[static_cast<std::size_t>(model_->output())];
}

std::vector<std::vector<std::string>> FusedModel::blocks() const {
  std::vector<std::vector<std::string>> result;
  for (const Step& step : steps_) {
    std::vector<std::string>& names = result.emplace_back();
    for (const std::size_t node : step.nodes) names.push_back(model_->nodes()[node].layer->name());
  }
  return result;
}

bool fusion_by_default() {
  const char* const value = std::getenv("PERCH_FUSE");
  return value == nullptr || std::string_view(value) != "0";
}

}  // namespace perch
