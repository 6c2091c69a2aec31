import static org.codelibs.opensearch.runner.OpenSearchRunner.newConfigs;

import org.codelibs.opensearch.runner.OpenSearchRunner;

/** One OpenSearch node in this JVM: Os.java DATA_FOLDER HTTP_PORT [setting=value ...]. */
public class Os {
  public static void main(String[] args) throws Exception {
    var runner = new OpenSearchRunner();
    // Otherwise ports above 9299 are refused.
    runner.setMaxHttpPort(-1);
    Runtime.getRuntime().addShutdownHook(new Thread(() -> {
      try {
        runner.close();
      } catch (Exception error) {
        System.err.println(error);
      }
    }));
    runner.onBuild((number, settings) -> {
      settings.put("http.port", args[1]);
      settings.put("discovery.type", "single-node");
      settings.putList("node.roles", "cluster_manager", "data", "ingest");
      settings.put("node.processors", 2);
      for (int i = 2; i < args.length; i++) {
        var pair = args[i].split("=", 2);
        settings.put(pair[0], pair[1]);
      }
    });
    runner.build(newConfigs()
        .basePath(args[0]).numOfNode(1).clusterName("test-" + args[1]).printOnFailure());
    Thread.currentThread().join();
  }
}
