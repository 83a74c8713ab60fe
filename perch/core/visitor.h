// Visitor: the one reflection hook. Whatever has state describes itself to a visitor once, and
// parameters, summary, cloning, saving and inspection all follow from that description.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace perch {

class Tensor;
class Variable;
class Visitor;

class Visitable {
 public:
  virtual ~Visitable() = default;
  /// Reports configuration first, then state in its stored order, then children.
  virtual void visit(Visitor& visitor) = 0;
};

/// Every hook does nothing unless overridden. References may be written to: a loader restores
/// through the same description that a saver reads.
class Visitor {
 public:
  virtual ~Visitor() = default;

  /// False where a loader's source lacks this setting. For settings that came with a later version:
  /// report them only where this is true, and they keep their defaults.
  virtual bool has(std::string_view name) const;
  virtual void config(std::string_view name, bool& value);
  virtual void config(std::string_view name, std::int64_t& value);
  virtual void config(std::string_view name, float& value);
  virtual void config(std::string_view name, std::string& value);
  virtual void config(std::string_view name, std::vector<std::int64_t>& value);

  /// A trainable weight.
  virtual void weight(std::string_view name, Variable& value);
  /// State that is saved but not trained: moving statistics, ranges, optimizer moments.
  virtual void buffer(std::string_view name, Tensor& value);
  /// Integer state.
  virtual void counter(std::string_view name, std::int32_t& value);

  /// A child with a name of its own, such as a layer: its state is called child/weight.
  /// The default visits the child.
  virtual void child(std::string_view name, Visitable& child);
  /// A part without a name of its own, such as a quantizer: its state is called owner/prefix_x.
  /// The default visits the part.
  virtual void part(std::string_view prefix, Visitable& part);
};

}  // namespace perch
