// Files and folders that are not what they should be: the documented exit code, one line with the
// remedy, nothing half-written.
#include <algorithm>
#include <filesystem>
#include <fstream>

#include <catch2/catch.hpp>
#include <hdf5.h>
#include <tests/apps/command_line.h>

using namespace perch::test;
namespace fs = std::filesystem;

namespace {

ProcessResult train_on(const std::string& data, const std::string& save, Arguments more = {}) {
  Arguments arguments = {"train", "temp_net", "--quiet", "--data", data, "--save", save};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return run_perch(arguments);
}

std::string train_model(const TestFolder& folder, const std::string& network, Arguments more = {}) {
  Arguments arguments = {"train",  network,          "--data", write_data(folder, 80, 10),
                         "--save", folder / "models"};
  arguments.insert(arguments.end(), more.begin(), more.end());
  return result(arguments).at("model");
}

/// Replaces a dataset in a file by one of `extent` zeros, or removes it with extent 0.
void damage(const std::string& file, const std::string& dataset, hsize_t extent) {
  const hid_t handle = H5Fopen(file.c_str(), H5F_ACC_RDWR, H5P_DEFAULT);
  REQUIRE(handle >= 0);
  REQUIRE(H5Ldelete(handle, dataset.c_str(), H5P_DEFAULT) >= 0);
  if (extent > 0) {
    const hid_t space = H5Screate_simple(1, &extent, nullptr);
    const hid_t made = H5Dcreate2(handle, dataset.c_str(), H5T_IEEE_F32LE, space, H5P_DEFAULT,
                                  H5P_DEFAULT, H5P_DEFAULT);
    REQUIRE(made >= 0);
    H5Dclose(made);
    H5Sclose(space);
  }
  H5Fclose(handle);
}

}  // namespace

TEST_CASE("data that is missing or damaged ends train before anything is written") {
  const TestFolder folder;
  const std::string save = folder / "models";
  check_error(train_on(folder / "nothing", save), 66,
              {"nothing", "perch data fetch cifar10", "cifar10_mini"});
  check_error(run_perch({"train", "temp_net", "--save", save}), 66, {"perch data fetch cifar10"});

  const std::string data = write_data(folder, 80, 0);
  const fs::path batch = fs::path(data) / "data_batch_1.bin";
  auto bytes = records(80);
  bytes.pop_back();
  write_file(batch, bytes);
  check_error(train_on(data, save), 65, {"data_batch_1.bin", "3073"});
  write_file(batch, "");
  check_error(train_on(data, save), 65, {"data_batch_1.bin", "empty"});
  bytes = records(80);
  bytes[3073] = 10;
  write_file(batch, bytes);
  check_error(train_on(data, save), 65, {"data_batch_1.bin", "label 10"});
  fs::remove(batch);
  check_error(train_on(data, save), 66, {"data_batch_*.bin"});
  CHECK_FALSE(fs::exists(save));
}

TEST_CASE("a target that cannot be written ends train at once and leaves no litter") {
  const TestFolder folder;
  const std::string data = write_data(folder, 80, 0);
  write_file(folder / "file", "x");
  check_error(train_on(data, folder / "file"), 73, {"file", "--save"});
  check_error(train_on(data, folder / "file/deeper"), 73, {"file", "--save"});
  fs::create_directories(folder / "models/temp_net_8wbits_8abits_asym_full_perch_AV.h5");
  check_error(train_on(data, folder / "models"), 73, {"is a folder", "--save"});
  // The check makes the missing folders and takes them away again when training fails.
  check_error(train_on(data, folder / "new/deep", {"--batch-size", "100"}), 2, {"100"});
  CHECK_FALSE(fs::exists(folder / "new"));
}

TEST_CASE("a full disk leaves the existing file as it was") {
  const TestFolder folder;
  const std::string data = write_data(folder, 80, 0), save = folder / "models";
  const std::string model = train_model(folder, "temp_net");
  const auto before = read_file(model);
  const auto content = folder.content();
  // A limit on file sizes stands for the full disk: 50 KiB, where the model takes 1.3 MB.
  const auto full = run_process({"sh", "-c", "trap '' XFSZ; ulimit -f 100; exec \"$@\"", "sh",
                                 perch_program(), "train", "temp_net", "--quiet", "--data", data,
                                 "--save", save, "--seed", "5", "--keep", "0", "--no-run-dir"});
  check_error(full, 74, {"temp_net_8wbits_8abits_asym_full_perch_AV.h5"});
  CHECK(read_file(model) == before);
  CHECK(folder.content() == content);

  REQUIRE(train_on(data, save, {"--seed", "5", "--no-run-dir"}).exit_code == 0);
  CHECK(read_file(model) != before);
  CHECK(folder.content() == content);
}

TEST_CASE("results that cannot be written are an error") {
  const auto full = run_process({"sh", "-c", "exec \"$0\" doctor >/dev/full",  //
                                 perch_program()});
  check_error(full, 74, {"stdout"});
}

TEST_CASE("a loss that is not finite ends train with the step and the layer, and no model") {
  const TestFolder folder;
  const std::string data = write_data(folder, 80, 0);
  check_error(train_on(data, folder / "models",
                       {"--optimizer", "sgd", "--learning-rate", "1e38", "--batch-size", "2",
                        "--quantizer", "none"}),
              1, {"step", "the first layer with a non-finite value is"});
  // The run's folder tells of it.
  for (const std::string& name : folder.content()) CHECK_FALSE(name.ends_with(".h5"));
}

TEST_CASE("model files that are missing, damaged or of another kind are refused") {
  const TestFolder folder;
  const std::string model = train_model(folder, "temp_net");
  const std::string data = folder / "data", broken = folder / "broken.h5";
  const auto evaluate = [&] { return run_perch({"evaluate", broken, "--data", data}); };
  check_error(evaluate(), 66, {"broken.h5"});

  auto bytes = read_file(model);
  bytes.resize(bytes.size() / 2);
  write_file(broken, bytes);
  check_error(evaluate(), 65, {"broken.h5"});
  write_file(broken, records(1));
  check_error(evaluate(), 65, {"broken.h5", "HDF5"});

  const std::string bias = "/model_weights/dense/dense/bias:0";
  fs::copy_file(model, broken, fs::copy_options::overwrite_existing);
  damage(broken, bias, 0);
  check_error(evaluate(), 65, {"broken.h5", "bias"});
  fs::copy_file(model, broken, fs::copy_options::overwrite_existing);
  damage(broken, bias, 7);
  check_error(evaluate(), 65, {"broken.h5", "bias", "7"});

  const std::string other = train_model(folder, "ds_net", {"--quantizer", "none"});
  check_error(train_on(data, folder / "new", {"--from", other}), 65, {"ds_net_float.h5"});
  check_error(train_on(data, folder / "new", {"--from", folder / "none.h5"}), 66, {"none.h5"});
  CHECK_FALSE(fs::exists(folder / "new"));
}
