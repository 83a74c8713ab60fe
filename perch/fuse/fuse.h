// Fusion: a model's layers run in blocks that take fewer passes over memory. The model stays as it
// is: names, state, files and hooks do not change, and each block has its definition beside it.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include <perch/layers/model.h>

namespace perch {

/// The plan for one model, which it borrows: made anew after the model's layers change.
class FusedModel {
 public:
  /// Throws Error(usage) unless built.
  explicit FusedModel(Model& model);
  ~FusedModel();
  FusedModel(FusedModel&&) noexcept;
  FusedModel& operator=(FusedModel&&) noexcept;

  /// What model.forward(x, context) gives, up to the order of float sums; with hooks in the context
  /// it is that.
  Variable forward(const Variable& x, const Context& context);

  /// Names of the layers that run together, block by block, in order; a layer that runs alone is a
  /// block of one.
  std::vector<std::vector<std::string>> blocks() const;

 private:
  struct Step;
  Model* model_;
  std::vector<Step> steps_;
};

inline FusedModel fuse(Model& model) {
  return FusedModel(model);
}

/// Whether trainers fuse unless told otherwise: yes, or what PERCH_FUSE=0|1 says.
bool fusion_by_default();

}  // namespace perch
