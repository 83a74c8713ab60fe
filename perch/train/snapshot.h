// Snapshot: a copy of everything in a model that training changes.
#pragma once

#include <cstdint>
#include <vector>

#include <perch/core/visitor.h>
#include <perch/layers/layer.h>

namespace perch {

class Snapshot : public Visitable {
 public:
  Snapshot() = default;  ///< empty() is true
  explicit Snapshot(Layer& model);

  bool empty() const { return tensors_.empty() && counters_.empty(); }
  /// Reports how many values there are, then each by its number.
  void visit(Visitor& visitor) override;
  /// What a forward pass moves in training: all but the layers' own weights.
  enum class Part { all, moved };
  /// Takes the values anew.
  void take(Layer& model, Part part = Part::all);
  /// Puts the values back. The model must be the one they were taken from.
  void restore(Layer& model) const;

 private:
  Part part_ = Part::all;
  std::vector<Tensor> tensors_;
  std::vector<std::int32_t> counters_;
};

}  // namespace perch
